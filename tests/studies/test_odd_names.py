"""A file or folder whose name some library cannot take costs at most its own study."""

import inspect
import os
import shutil
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from tests.studies.tiny_files import dicom_series, nifti, ramp, reasons, sequences, study
from zeus_app.errors import InputError
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

BRAIN = load_target("brain_tumour")
LATIN_1 = os.fsdecode(b"M\xfcller")  # as old archives and Windows shares write "Müller"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A studies folder with one good study."""
    study(tmp_path / "good", "T2")
    return tmp_path


def nrrd(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.parent.parent / "plain.nrrd"  # ITK itself cannot write to such a path
    sitk.WriteImage(sitk.GetImageFromArray(ramp(3, 4, 4)), str(plain))
    return plain.rename(path)


def test_the_folder_of_a_study(root: Path) -> None:
    study(root / LATIN_1, "T2")
    catalog = find_studies(root, BRAIN)
    assert sequences(catalog) == {"good": {"T2"}}
    reason = reasons(catalog)["M_xfcller"]
    assert r"M\xfcller/T2.nii.gz, a name that is no UTF-8" in reason
    assert "rename it" in reason


@pytest.mark.parametrize("name", [b"T2_gr\xf6\xdfe.nrrd", b"T2_gr\xf6\xdfe.mha"])
def test_a_file_that_itk_reads(root: Path, name: bytes) -> None:
    nrrd(root / "p" / "T2.nrrd").rename(root / "p" / os.fsdecode(name))
    catalog = find_studies(root, BRAIN)
    assert set(catalog.studies) == {"good"}
    assert r"gr\xf6\xdfe" in reasons(catalog)["p"]


def test_a_file_that_is_no_sequence_hides_no_study(root: Path) -> None:
    nifti(root / "good" / f"{LATIN_1}_mask.nii.gz")
    (root / "good" / f"{LATIN_1}.txt").write_text("notes")
    (root / LATIN_1).mkdir()
    catalog = find_studies(root, BRAIN)
    assert sequences(catalog) == {"good": {"T2"}}
    assert r"M\xfcller is an empty folder" in reasons(catalog)["M_xfcller"]


def test_names_in_a_reason_are_readable(root: Path) -> None:
    study(root / LATIN_1, f"{LATIN_1}_a", f"{LATIN_1}_b")
    study(root / "twice", f"{LATIN_1}_T2_1", f"{LATIN_1}_T2_2")
    for reason in reasons(find_studies(root, BRAIN)).values():
        assert r"M\xfcller" in reason
        reason.encode()


@pytest.mark.parametrize("slice_name", ["000.dcm", os.fsdecode(b"sch\xe4del.dcm")])
def test_a_dicom_series(root: Path, slice_name: str) -> None:
    names = [slice_name, "001.dcm", "002.dcm"]
    folder = LATIN_1 if slice_name == "000.dcm" else "p"
    dicom_series(root / folder, "t2_tra", names=names)
    catalog = find_studies(root, BRAIN)
    assert set(catalog.studies) == {"good"}
    assert "no UTF-8" in reasons(catalog)["M_xfcller" if folder == LATIN_1 else "p"]


def test_an_archive(tmp_path: Path) -> None:
    root = tmp_path / "Task01"
    nifti(root / "imagesTr" / "anna.nii.gz", ramp(4, 4, 3, 2))
    nifti(root / "imagesTr" / f"{LATIN_1}.nii.gz", ramp(4, 4, 3, 2))
    nifti(root / "labelsTr" / f"{LATIN_1}.nii.gz")
    (root / "dataset.json").write_text('{"modality": {"0": "FLAIR", "1": "T2"}}')
    catalog = find_studies(root, BRAIN)
    assert set(catalog.studies) == {"anna"}
    assert "no UTF-8" in reasons(catalog)["M_xfcller"]


def test_the_studies_folder_itself(tmp_path: Path) -> None:
    study(tmp_path / LATIN_1 / "p", "T2")
    with pytest.raises(InputError, match=r"M\\xfcller, a name that is no UTF-8"):
        find_studies(tmp_path / LATIN_1, BRAIN)


@pytest.mark.parametrize(
    ("name", "study_id"),
    [
        ("Müller", "Muller-fa6a2313"),  # of sha256sum
        ("Mu\u0308ller", "Muller-fa6a2313"),  # a combining character, as macOS writes it
        ("patient 😀", "patient-aad75203"),
        ("line\nbreak", "line_break"),
        ("bell\x07", "bell"),
        ("a" * 255, "a" * 128),
        ("患者7", "7-f425291b"),
    ],
)
def test_a_name_in_utf8_is_a_study(root: Path, name: str, study_id: str) -> None:
    study(root / name, "T2")
    study(root / "p", f"{name[:240]}_T2")
    catalog = find_studies(root, BRAIN)
    assert set(catalog.studies) == {"good", "p", study_id}
    for files in catalog.studies.values():
        assert files.sources["T2"].load().array.shape == (4, 4, 3)


def test_names_without_a_latin_letter_are_different_studies_of_different_patients(
    root: Path,
) -> None:
    for name in ("Иванов", "Петров", "患者", "😀"):
        study(root / name, "T2")
    catalog = find_studies(root, BRAIN)
    assert {"study-9db4a3b3", "study-f0443a34"} < set(catalog.studies)  # of sha256sum
    assert len({files.patient for files in catalog.studies.values()}) == 5
    assert catalog.former_ids == {}


def test_the_only_name_without_a_latin_letter_had_another_id(root: Path) -> None:
    study(root / "患者", "T2")
    assert find_studies(root, BRAIN).former_ids == {"study": {"study-9db4a3b3"}}
    study(root / "study", "T2")
    assert find_studies(root, BRAIN).former_ids == {}


def test_folders_may_be_nested_deeper_than_functions(root: Path) -> None:
    study(root.joinpath(*["d"] * 300), "T2")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 200)
    try:
        catalog = find_studies(root, BRAIN)
    finally:
        sys.setrecursionlimit(limit)
    assert len(catalog.studies) == 2


def test_a_path_that_is_too_long_is_a_problem(root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for name in ["d" * 200] * 25:  # 5000 characters; a path has at most 4096
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    catalog = find_studies(root, BRAIN)
    assert set(catalog.studies) == {"good"}
    (reason,) = reasons(catalog).values()
    assert len(reason) < 2100
    shutil.rmtree(root / ("d" * 200))


def test_links_in_a_loop_end(root: Path) -> None:
    (root / "good" / "again").symlink_to(root, target_is_directory=True)
    (root / "itself").symlink_to(root / "itself")
    assert set(find_studies(root, BRAIN).studies) == {"good"}


@pytest.mark.parametrize("name", ["T2.nii.gz", "T2.nrrd", "T2.mha", "000.dcm", "000"])
def test_a_pipe_is_never_opened(root: Path, name: str) -> None:
    (root / "p").mkdir()
    os.mkfifo(root / "p" / name)
    assert set(find_studies(root, BRAIN).studies) == {"good"}


def test_a_link_to_nothing_is_a_problem(root: Path) -> None:
    (root / "p").mkdir()
    (root / "p" / "T2.nii.gz").symlink_to(root / "gone.nii.gz")
    assert set(reasons(find_studies(root, BRAIN))) == {"p"}
