"""Orthanc with phantoms, the current OHIF and Chromium, started once for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hospital.chromium import Browser, chromium
from tests.server import running
from tests.server.running import free_port
from zeus_app.commands.hospital.ohif_package import viewer_folder
from zeus_app.commands.hospital.orthanc import Orthanc
from zeus_app.commands.hospital.run import HospitalPaths, write_phantoms
from zeus_app.commands.hospital.sample_dicom import DicomStudy
from zeus_app.commands.hospital.viewer import DicomwebSource, Viewer
from zeus_app.errors import InputError

STUDY_COUNT = 4


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> list[DicomStudy]:
    """DICOM studies; of the third, T2 and FLAIR have different grids."""
    return write_phantoms(HospitalPaths(out=tmp_path_factory.mktemp("phantoms")), STUDY_COUNT)


@pytest.fixture(scope="session")
def pacs(phantoms: list[DicomStudy], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An Orthanc that holds the phantoms."""
    with Orthanc(tmp_path_factory.mktemp("pacs"), port=free_port()) as started:
        for study in phantoms:
            started.upload(study.files)
        yield started


@pytest.fixture(scope="session")
def current_ohif(pacs: Orthanc) -> Iterator[str]:
    """Address of the current OHIF, which shows the studies of the PACS."""
    try:
        folder = viewer_folder()
    except InputError as error:
        pytest.skip(str(error))
    with Viewer(folder, DicomwebSource(pacs.dicomweb_url), port=free_port()) as viewer:
        yield viewer.url


@pytest.fixture(scope="session")
def zeus(pacs: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """Zeus, whose studies are in the PACS, with a model that knows the true masks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "FAKE_MODEL", "tests.hospital.known_masks")
        server = running.start(
            pacs.dicomweb_url, tmp_path_factory.mktemp("state"), {"target": "phantom"}
        )
    yield server
    running.stop(server)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A fresh Chromium."""
    with chromium(tmp_path / "chromium") as started:
        yield started
