from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.series import is_dicom, read_header
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.targets import load_target

PROSTATE = load_target("prostate")


def source(folder: Path) -> DicomSeriesSource:
    return DicomSeriesSource(tuple(sorted(folder.iterdir())))


def test_rescale_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", RescaleSlope=2.0, RescaleIntercept=-5.0)
    assert source(folder).load().array[1, 0, 0] == 2 * 1 - 5


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize(
    "names", [("1", "2", "3"), ("a.MR", "b.MR", "c.mr"), ("a.img", "b.IMG", "1.2.840.9")]
)
def test_a_data_set_without_preamble_is_read_whatever_its_name(
    tmp_path: Path, names: tuple[str, ...], *, implicit: bool
) -> None:
    folder = without_preamble(
        dicom_series(tmp_path / "p", "t2_tra", names=names), implicit=implicit
    )
    assert all(is_dicom(path) for path in folder.iterdir())
    np.testing.assert_array_equal(source(folder).load().array[0, 0], [0, 100, 200])


def without_preamble(folder: Path, *, implicit: bool) -> Path:
    """The files of a series as old scanners export them: the data set alone."""
    for path in folder.iterdir():
        written = DicomBytesIO()
        written.is_little_endian, written.is_implicit_VR = True, implicit
        bare = pydicom.Dataset()
        for element in pydicom.dcmread(path):
            bare.add(element)
        write_dataset(written, bare)
        path.write_bytes(written.getvalue())
    return folder


@pytest.mark.parametrize("name", ["a.MR", "a.img", "a.dic", "a", "1.2.3", "a.txt"])
def test_a_file_is_dicom_by_its_content(tmp_path: Path, name: str) -> None:
    path = dicom_series(tmp_path, "t2_tra", names=(name,), positions=[(0, 0, 0)]) / name
    assert is_dicom(path)
    path.write_bytes(b"x" * 400)
    assert not is_dicom(path)


def test_files_that_are_no_dicom_or_no_images_are_not_taken(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", positions=[(0, 0, 0)])
    for name in ("DICOMDIR", "dicomdir", "DICOMDIR.dcm", "._a.dcm", "t2.nii.gz", "t2.mha"):
        (folder / name).write_bytes((folder / "000.dcm").read_bytes())
        assert not is_dicom(folder / name)
    assert not is_dicom(folder / "gone")
    nibabel.save(nibabel.Nifti1Pair(np.zeros((4, 4, 3), np.int16), None), folder / "pair.hdr")
    for name in ("pair.hdr", "pair.img"):
        assert not is_dicom(folder / name)


def test_an_image_type_of_one_word_is_one_word(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", image_type=["DERIVED"])
    assert read_header(folder / "000.dcm").image_type == ("DERIVED",)


def test_a_truncated_dicom_file_is_refused(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2")
    last = folder / "002.dcm"
    last.write_bytes(last.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        source(folder).load()


def test_a_damaged_element_is_refused_without_its_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    folder = dicom_series(tmp_path, "t2_tra", PatientID="P0815 " * 20)
    path = folder / "000.dcm"
    damaged = path.read_bytes().replace(b"DS\x04\x003.0 ", b"DS\x04\x00Roe ")
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"its header is damaged \(\w+\)") as refused:
        read_header(path)
    said = f"{refused.value}{caplog.text}{[str(warning.message) for warning in recwarn]}"
    assert "Roe" not in said
    assert "P0815" not in said
