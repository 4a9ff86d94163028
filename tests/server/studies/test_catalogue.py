"""The catalogue reads an image once for all requests. A study goes on without what is unusable."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.server.conftest import affine, head, save
from tests.studies.tiny_files import SAGITTAL, dicom_series
from zeus_app.errors import InputError, TooLargeError
from zeus_app.server.studies.catalogue import Catalogue
from zeus_app.storage.state import StateFolder
from zeus_app.targets import load_target
from zeus_app.types import FloatArray, Grid, Volume
from zeus_app.volumes.sources import NiftiSource


def grid_of_case(catalogue: Catalogue, folder: Path, number: int) -> Grid:
    """The grid of a session's image after its voxels were read, in a request of its own."""
    path = folder / f"case{number}_t2.nii.gz"
    if not path.exists():
        save(path, head(number, (24 + number, 20, 6)), affine())
    return catalogue.grid(catalogue.usable(catalogue.temporary_study(path)))


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    state = StateFolder(tmp_path / "state", "phantom", "reference-small", "zeus", "hybrid")
    return Catalogue(tmp_path, load_target("phantom"), state)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose voxels are read, in order."""
    names: list[str] = []
    load = NiftiSource.load

    def counted(source: NiftiSource) -> Volume:
        names.append(source.path.name)
        return load(source)

    monkeypatch.setattr(NiftiSource, "load", counted)
    return names


def test_a_session_s_image_has_one_grid_for_all_requests(
    catalogue: Catalogue, loads: list[str], tmp_path: Path
) -> None:
    for _ in range(2):
        grid = grid_of_case(catalogue, tmp_path, 1)
        assert grid.shape == (25, 20, 6)
        np.testing.assert_array_equal(grid.affine_ras, affine())
    assert loads == ["case1_t2.nii.gz"]


def test_of_many_grids_the_oldest_is_forgotten(
    catalogue: Catalogue, loads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeus_app.server.studies.left_out.MAX_GRIDS", 2)
    for number in (1, 2, 3):
        grid_of_case(catalogue, tmp_path, number)
    loads.clear()
    for number in (3, 1):
        grid_of_case(catalogue, tmp_path, number)
    assert loads == ["case1_t2.nii.gz"]


def holes(value: float) -> FloatArray:
    """A head with some voxels that are no numbers."""
    array = head(1).astype(np.float32)
    array[:3] = value
    return array


def opened(studies: Path, tmp_path: Path) -> Catalogue:
    state = StateFolder(tmp_path / "state", "phantom", "reference-small", "zeus", "hybrid")
    catalogue = Catalogue(studies, load_target("phantom"), state)
    catalogue.refresh()
    return catalogue


def two_sequences(studies: Path, **arrays: FloatArray) -> Path:
    """A study of T2, the reference, and FLAIR on another grid."""
    other = affine()
    other[:3, 3] += 1
    save(studies / "p" / "t2.nii.gz", arrays.get("T2", head(1)), affine())
    return save(studies / "p" / "flair.nii.gz", arrays.get("FLAIR", head(2)), other).parent


@pytest.mark.parametrize(
    ("broken", "words"),
    [(holes(np.nan), "NaN or infinite"), (holes(-np.inf), "NaN or infinite"),
     (np.full_like(holes(0), 7), "value 7")],
)  # fmt: skip
def test_a_study_goes_on_without_a_sequence_whose_voxels_cannot_be_used(
    tmp_path: Path, broken: FloatArray, words: str
) -> None:
    two_sequences(tmp_path / "studies", FLAIR=broken)
    catalogue = opened(tmp_path / "studies", tmp_path)
    image = catalogue.resolve("p")
    assert catalogue.volume_file(image).name == "t2.nii.gz"
    study = catalogue.read(image)
    assert list(study.volumes) == ["T2"]
    assert list(catalogue.studies["p"].sources) == ["T2"]
    assert catalogue.problems == ()
    (unused,) = catalogue.studies["p"].unused
    assert unused.reason == f"FLAIR: {study.left_out['FLAIR']}"
    assert words in unused.reason
    assert str(tmp_path) not in unused.reason
    with pytest.raises(InputError, match=words):
        catalogue.resolve("p/FLAIR")


def test_a_study_is_seen_through_the_next_reference(tmp_path: Path) -> None:
    two_sequences(tmp_path / "studies", T2=holes(np.nan))
    catalogue = opened(tmp_path / "studies", tmp_path)
    before = catalogue.resolve("p")
    assert before.sequence == "T2"
    assert catalogue.volume_file(before).name == "flair.nii.gz"
    now = catalogue.usable(before)
    assert (now.sequence, catalogue.resolve("p").sequence) == ("FLAIR", "FLAIR")
    np.testing.assert_allclose(catalogue.grid(now).affine_ras[:3, 3], affine()[:3, 3] + 1)
    assert list(catalogue.read(now).volumes) == ["FLAIR"]


def test_a_named_sequence_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    two_sequences(tmp_path / "studies", FLAIR=holes(np.nan))
    catalogue = opened(tmp_path / "studies", tmp_path)
    image = catalogue.resolve("p/FLAIR")
    with pytest.raises(InputError, match="NaN"):
        catalogue.volume_file(image)
    assert list(catalogue.studies["p"].sources) == ["T2"]
    assert catalogue.volume_file(catalogue.resolve("p")).name == "t2.nii.gz"


def test_a_study_without_a_usable_sequence_is_a_problem(tmp_path: Path) -> None:
    two_sequences(tmp_path / "studies", T2=holes(np.nan), FLAIR=holes(np.inf))
    catalogue = opened(tmp_path / "studies", tmp_path)
    with pytest.raises(InputError, match=r"(?s)NaN.*NaN"):
        catalogue.read(catalogue.resolve("p"))
    (problem,) = catalogue.problems
    assert (problem.id, catalogue.studies) == ("p", {})
    assert {path.name for path in problem.files} == {"t2.nii.gz", "flair.nii.gz"}
    with pytest.raises(InputError, match="cannot be used"):
        catalogue.resolve("p")


def test_what_cannot_be_used_stays_so_until_its_files_change(tmp_path: Path) -> None:
    folder = two_sequences(tmp_path / "studies", FLAIR=holes(np.nan))
    catalogue = opened(tmp_path / "studies", tmp_path)
    catalogue.read(catalogue.resolve("p"))
    catalogue.refresh()
    assert list(catalogue.studies["p"].sources) == ["T2"]
    assert len(catalogue.studies["p"].unused) == 1
    assert not catalogue.changed_since_left_out()
    save(folder / "flair.nii.gz", head(3), affine())
    assert catalogue.changed_since_left_out()
    assert not catalogue.changed_since_left_out()  # one search is enough
    catalogue.refresh()
    assert set(catalogue.studies["p"].sources) == {"T2", "FLAIR"}
    assert len(catalogue.read(catalogue.resolve("p")).volumes) == 2


def test_a_sequence_that_was_forgotten_is_tried_again(tmp_path: Path) -> None:
    two_sequences(tmp_path / "studies", FLAIR=holes(np.nan))
    catalogue = opened(tmp_path / "studies", tmp_path)
    catalogue.read(catalogue.resolve("p"))
    catalogue.forget_left_out()
    catalogue.refresh()
    assert set(catalogue.studies["p"].sources) == {"T2", "FLAIR"}


def test_the_study_of_a_session_goes_on_too(tmp_path: Path) -> None:
    folder = two_sequences(tmp_path / "session", T2=holes(np.nan))
    (tmp_path / "studies").mkdir()
    catalogue = opened(tmp_path / "studies", tmp_path)
    image = catalogue.usable(catalogue.temporary_study(folder))
    assert image.sequence == "FLAIR"
    assert catalogue.read(image).left_out == {}
    study = catalogue.read(catalogue.temporary_study(folder))
    assert "t2.nii.gz: " in study.left_out["T2"]
    assert str(tmp_path) not in study.left_out["T2"]
    assert catalogue.problems == ()


def test_a_grid_is_known_whatever_the_voxels_of_its_study(loads: list[str], tmp_path: Path) -> None:
    two_sequences(tmp_path / "studies", T2=holes(np.nan))
    catalogue = opened(tmp_path / "studies", tmp_path)
    np.testing.assert_allclose(catalogue.grid(catalogue.resolve("p")).affine_ras, affine())
    assert loads == []


def test_every_patient_is_a_pseudonym_that_groups_the_same_studies(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    dicom_series(folder, "T2", PatientID="P0815")
    dicom_series(folder / "later", "T2", study_uid="1.9", PatientID="P0815")
    for name in ("bob/first", "bob/second", "eve"):
        save(folder / name / "t2.nii.gz", head(1), affine())
    upload = save(tmp_path / "sub-7_ses-1_t2.nii.gz", head(2), affine())
    state = StateFolder(tmp_path / "state", "phantom", "reference-small", "zeus", "hybrid")
    catalogue = Catalogue(folder, load_target("phantom"), state)
    catalogue.refresh()
    catalogue.add("sub-7_ses-1", upload)
    groups: dict[str, list[str]] = {}
    for study, files in sorted(catalogue.studies.items()):
        groups.setdefault(files.patient, []).append(study)
    (of_dicom,) = catalogue.former.ids["P0815"]
    expected = {
        "bob": ["bob_first", "bob_second"], "eve": ["eve"], "P0815": ["later", of_dicom],
        "sub-7": ["sub-7_ses-1"],
    }  # fmt: skip
    assert groups == {catalogue.pseudonyms.of(name): names for name, names in expected.items()}
    catalogue.refresh()
    assert {files.patient for files in catalogue.studies.values()} == groups.keys()
    with pytest.raises(InputError, match="'P0815' is taken"):
        catalogue.add("P0815", upload)
    session = catalogue.temporary_study(folder / "later")
    assert session.files.patient == catalogue.pseudonyms.of("P0815")


def test_two_servers_on_one_state_folder_never_overwrite_each_others_uploads(
    tmp_path: Path,
) -> None:
    (tmp_path / "studies").mkdir()
    state = StateFolder(tmp_path / "state", "phantom", "reference-small", "zeus", "hybrid")
    here, there = (Catalogue(tmp_path / "studies", load_target("phantom"), state) for _ in "ab")
    for catalogue in (here, there):
        catalogue.refresh()
    first = save(tmp_path / "one" / "t2.nii.gz", head(1), affine())
    here.add("anna", first)
    for name in ("t2.nii.gz", "flair.nii.gz", "t2.mha"):
        second = tmp_path / "two" / name
        second.parent.mkdir(exist_ok=True)
        sitk.WriteImage(sitk.ReadImage(str(save(tmp_path / "v.nii", head(2), affine()))), second)
        with pytest.raises(InputError, match="'anna' is taken"):
            there.add("anna", second)
    (kept,) = state.uploads.glob("[!.]*")
    assert kept.read_bytes() == first.read_bytes()


def test_an_upload_whose_voxels_are_damaged_is_never_put_in_place(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    state = StateFolder(tmp_path / "state", "phantom", "reference-small", "zeus", "hybrid")
    catalogue = Catalogue(tmp_path / "studies", load_target("phantom"), state, max_voxels=1000)
    array = head(1, (10, 10, 10))
    array[3, 3, 3] = np.nan
    with pytest.raises(InputError):
        catalogue.add("anna", save(tmp_path / "nan_t2.nii.gz", array, affine()))
    with pytest.raises(TooLargeError, match="1100 voxels"):
        catalogue.add("anna", save(tmp_path / "t2.nii.gz", head(1, (10, 10, 11)), affine()))
    assert not list(state.uploads.glob("*"))


def test_an_upload_of_an_older_version_that_is_too_large_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    state = StateFolder(tmp_path / "state", "phantom", "reference-small", "zeus", "hybrid")
    save(state.uploads / "anna~T2.nii.gz", head(1, (10, 10, 11)), affine())
    catalogue = Catalogue(tmp_path / "studies", load_target("phantom"), state, max_voxels=1000)
    catalogue.refresh()
    ((problem,), studies) = catalogue.problems, catalogue.studies
    assert (problem.id, studies) == ("anna", {})
    assert "1100 voxels" in problem.reason


def dicom_study(studies: Path) -> dict[str, str]:
    """T2, FLAIR and a sagittal T2 of constant voxels; returns name -> Series Instance UID."""
    slices = [(0, 0, 0), (3, 0, 0), (6, 0, 0)]
    folders = {
        "T2": dicom_series(studies / "p" / "t2", "t2_tra"),
        "FLAIR": dicom_series(studies / "p" / "flair", "flair_tra"),
        "sagittal": dicom_series(
            studies / "p" / "sag", "t2_sag", orientation=SAGITTAL, positions=slices
        ),
    }
    for path in folders["sagittal"].iterdir():
        data = pydicom.dcmread(path)
        data.PixelData = bytes(len(data.PixelData))
        data.save_as(path)
    files = {name: next(folder.iterdir()) for name, folder in folders.items()}
    return {name: str(pydicom.dcmread(file).SeriesInstanceUID) for name, file in files.items()}


def test_a_series_of_a_sequence_is_this_sequence(tmp_path: Path) -> None:
    uids = dicom_study(tmp_path / "studies")
    catalogue = opened(tmp_path / "studies", tmp_path)
    for name in (uids["FLAIR"], f"p/{uids['FLAIR']}", f"1.2.3/{uids['FLAIR']}", "1.2.3/FLAIR"):
        assert catalogue.resolve(name).image_id == "p/FLAIR"


def test_a_study_uid_is_its_study(tmp_path: Path) -> None:
    dicom_study(tmp_path / "studies")
    image = opened(tmp_path / "studies", tmp_path).resolve("1.2.3")
    assert (image.image_id, image.whole) == ("p", True)


def test_a_series_that_is_no_sequence_has_its_own_grid_and_its_study_s_reference(
    tmp_path: Path,
) -> None:
    uids = dicom_study(tmp_path / "studies")
    catalogue = opened(tmp_path / "studies", tmp_path)
    image = catalogue.usable(catalogue.resolve(uids["sagittal"]))
    assert (image.shown, image.sequence) == (uids["sagittal"], "T2")
    assert catalogue.resolve(image.image_id) == image
    assert catalogue.grid(image).spacing_mm == pytest.approx((1.5, 2, 3))
    # Row direction P, column direction F: the normal leads to the patient's right, in RAS along +R.
    np.testing.assert_allclose(catalogue.grid(image).affine_ras[:3, 2], [3, 0, 0], atol=1e-9)


def test_a_series_that_cannot_be_read_takes_no_sequence_away(tmp_path: Path) -> None:
    uids = dicom_study(tmp_path / "studies")
    catalogue = opened(tmp_path / "studies", tmp_path)
    with pytest.raises(InputError, match="value 0"):
        catalogue.volume_file(catalogue.resolve(uids["sagittal"]))
    assert set(catalogue.studies["p"].sources) == {"T2", "FLAIR"}
