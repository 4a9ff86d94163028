"""DICOM JSON of data sets: pydicom reads the same values back, and what is damaged is left out."""

import json
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian

from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.web.json_model import read_data_set, to_json
from zeus_app.errors import InputError, UnknownNameError


def little(**elements: object) -> Dataset:
    data = Dataset()
    data.is_little_endian, data.is_implicit_VR = True, False
    for name, value in elements.items():
        setattr(data, name, value)
    return data


def test_pydicom_reads_back_what_the_file_holds() -> None:
    path = Path(str(get_testdata_file("MR_small.dcm", download=False)))
    made, _ = to_json(read_data_set(path))
    back, truth = Dataset.from_json(made), pydicom.dcmread(path)
    names = ("SOPInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "Rows",
             "PixelSpacing", "FrameOfReferenceUID", "PatientName", "SliceThickness")  # fmt: skip
    assert {name: back[name].value for name in names} == {name: truth[name].value for name in names}


def test_pixels_are_no_metadata() -> None:
    path = Path(str(get_testdata_file("MR_small.dcm", download=False)))
    made, bulk = to_json(read_data_set(path))
    assert "7FE00010" not in made
    assert bulk == []


def test_a_long_binary_value_gets_an_address() -> None:
    data = little()
    data.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    data.add_new(0x00291010, "OB", b"\x01" * 1026)
    data.add_new(0x00291020, "OB", b"\x02" * 4)
    made, bulk = to_json(data, bulk_address="/root/bulkdata")
    assert made["00291010"] == {"vr": "OB", "BulkDataURI": "/root/bulkdata/0"}
    assert made["00291020"] == {"vr": "OB", "InlineBinary": "AgICAg=="}
    assert bulk == [b"\x01" * 1026]


def test_a_long_binary_value_in_a_sequence_has_the_next_number() -> None:
    inner = little()
    inner.add_new(0x00291010, "OB", b"\x03" * 1026)
    data = little(ReferencedSeriesSequence=Sequence([inner]))
    data.add_new(0x00081112, "OB", b"\x01" * 1026)  # comes before (0008,1115)
    made, bulk = to_json(data, bulk_address="b")
    assert made["00081115"]["Value"][0]["00291010"]["BulkDataURI"] == "b/1"
    assert [value[0] for value in bulk] == [1, 3]


def test_the_text_is_utf_8_whatever_the_file_is(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", SpecificCharacterSet="ISO_IR 100", PatientName="Müller")
    made, _ = to_json(read_data_set(next(folder.iterdir())))
    assert made["00080005"]["Value"] == ["ISO_IR 192"]
    assert made["00100010"]["Value"] == [{"Alphabetic": "Müller"}]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_has_not_is_left_out(number: float) -> None:
    made, _ = to_json(little(Rows=4, DiffusionBValue=number))
    assert list(made) == ["00280010"]


def test_a_damaged_value_takes_no_other_along() -> None:
    data = little(Rows=4)
    data.add(pydicom.dataelem.DataElement(0x00200013, "IS", "1", already_converted=True))
    data[0x00200013]._value = "Anna"
    made, _ = to_json(data)
    assert made == {"00280010": {"vr": "US", "Value": [4]}}


@pytest.mark.parametrize(("sign", "vr", "value"), [(0, "US", 65535), (1, "SS", -1)])
def test_the_pixels_tell_the_type_of_an_element_that_may_have_either(
    tmp_path: Path, sign: int, vr: str, value: int
) -> None:
    path = next(dicom_series(tmp_path, "t2", PixelRepresentation=sign).iterdir())
    data = pydicom.dcmread(path)
    data.add_new(0x00280106, vr, value)
    data.is_implicit_VR, data.file_meta.TransferSyntaxUID = True, ImplicitVRLittleEndian
    pydicom.dcmwrite(path, data, write_like_original=False)
    made, _ = to_json(read_data_set(path))
    assert made["00280106"] == {"vr": vr, "Value": [value]}


def test_everything_is_json() -> None:
    for name in ("MR_small.dcm", "CT_small.dcm", "reportsi.dcm", "rtplan.dcm", "liver_1frame.dcm"):
        path = get_testdata_file(name, download=False)
        if path:
            json.dumps(to_json(read_data_set(Path(str(path))))[0], allow_nan=False)


def test_chosen_elements_alone_can_be_read(tmp_path: Path) -> None:
    path = next(dicom_series(tmp_path, "t2").iterdir())
    made, _ = to_json(read_data_set(path, tags=("Modality", "Rows")))
    assert {"00080060", "00280010"} == made.keys()


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"a\.dcm is gone"):
        read_data_set(tmp_path / "a.dcm")


def test_a_file_that_is_no_dicom_is_told_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"Anna" * 100)
    with pytest.raises(InputError, match="cannot be read") as refused:
        read_data_set(path, pixels=True)
    assert "Anna" not in str(refused.value)
