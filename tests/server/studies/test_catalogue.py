"""The catalogue reads a grid once for all requests, and the number of grids it keeps is bounded."""

from pathlib import Path

import numpy as np
import pytest

from tests.server.conftest import affine, head, save
from tests.studies.tiny_files import dicom_series
from zeus_app.errors import InputError
from zeus_app.server.studies.catalogue import Catalogue
from zeus_app.storage.state import StateFolder
from zeus_app.targets import load_target
from zeus_app.types import Grid, Volume
from zeus_app.volumes.sources import NiftiSource


def grid_of_case(catalogue: Catalogue, folder: Path, number: int) -> Grid:
    """The grid of a session's image, in a request of its own."""
    path = folder / f"case{number}_t2.nii.gz"
    if not path.exists():
        save(path, head(number, (24 + number, 20, 6)), affine())
    return catalogue.grid(catalogue.temporary_study(path))


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
    monkeypatch.setattr("zeus_app.server.studies.catalogue.MAX_GRIDS", 2)
    for number in (1, 2, 3):
        grid_of_case(catalogue, tmp_path, number)
    loads.clear()
    for number in (3, 1):
        grid_of_case(catalogue, tmp_path, number)
    assert loads == ["case1_t2.nii.gz"]


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
    (of_dicom,) = catalogue.former_ids["P0815"]
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
