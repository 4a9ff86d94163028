import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.commands.hospital.test_sample_dicom import write_nifti
from tests.server.running import free_port
from zeus_app.commands.hospital import orthanc
from zeus_app.commands.hospital.orthanc import Login, Orthanc, orthanc_program, orthanc_settings
from zeus_app.commands.hospital.sample_dicom import DicomStudy, write_dicom_study
from zeus_app.errors import InputError


@pytest.fixture
def study(tmp_path: Path) -> DicomStudy:
    file = write_nifti(tmp_path / "t2.nii.gz", "RAS", 1)
    return write_dicom_study({"T2": file}, tmp_path / "dicom", name="phantom_07")


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Orthanc]:
    with Orthanc(tmp_path / "pacs", port=free_port()) as started:
        yield started


def status(url: str, login: tuple[str, str] | None = None) -> int:
    return int(requests.get(url, auth=login, timeout=60).status_code)


@pytest.mark.orthanc
def test_dicomweb_finds_an_uploaded_study(pacs: Orthanc, study: DicomStudy) -> None:
    pacs.upload(study.files)
    (found,) = pacs.get("/dicom-web/studies")
    assert found["0020000D"]["Value"] == [study.uid]


@pytest.mark.orthanc
def test_an_instance_that_is_sent_again_replaces_the_first(
    pacs: Orthanc, study: DicomStudy
) -> None:
    pacs.upload(study.files)
    pacs.upload(study.files)
    assert pacs.get("/statistics")["CountInstances"] == len(study.files)


@pytest.mark.orthanc
def test_an_empty_pacs_has_no_studies(pacs: Orthanc) -> None:
    assert pacs.get("/dicom-web/studies") == []


@pytest.mark.orthanc
def test_with_a_login_nobody_else_reads(tmp_path: Path) -> None:
    with Orthanc(tmp_path, port=free_port(), login=Login("anna", "secret")) as pacs:
        assert status(f"{pacs.dicomweb_url}/studies") == 401
        assert status(f"{pacs.dicomweb_url}/studies", ("anna", "secret")) == 200


@pytest.mark.orthanc
def test_what_was_stored_is_there_after_a_restart(tmp_path: Path, study: DicomStudy) -> None:
    with Orthanc(tmp_path / "pacs", port=free_port()) as first:
        first.upload(study.files)
    with Orthanc(tmp_path / "pacs", port=free_port()) as second:
        assert len(second.get("/studies")) == 1


@pytest.mark.orthanc
def test_it_ends_with_its_block(tmp_path: Path) -> None:
    with Orthanc(tmp_path, port=free_port()) as pacs:
        assert not pacs.has_ended
    assert pacs.has_ended


@pytest.mark.orthanc
def test_a_taken_port_is_told(pacs: Orthanc, tmp_path: Path) -> None:
    port = int(pacs.url.rsplit(":", 1)[1])
    with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{port}"):
        Orthanc(tmp_path / "second", port=port).__enter__()


def test_other_machines_are_refused(tmp_path: Path) -> None:
    settings = orthanc_settings(tmp_path, 8042, None)
    assert settings["RemoteAccessAllowed"] is False
    assert settings["DicomServerEnabled"] is False


@pytest.mark.parametrize(
    ("program", "missing"), [(None, "orthanc"), ("/usr/sbin/Orthanc", "orthanc-dicomweb")]
)
def test_a_missing_package_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str | None, missing: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: program)
    monkeypatch.setattr(orthanc, "PLUGIN", tmp_path / "none.so")
    told = f"package {missing} is not installed.*apt-get install orthanc orthanc-dicomweb"
    with pytest.raises(InputError, match=told):
        orthanc_program()


@pytest.mark.orthanc
def test_an_orthanc_that_cannot_store_is_told_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("no folder")
    with pytest.raises(InputError, match=f"Orthanc did not start.*{tmp_path}/orthanc.log"):
        Orthanc(tmp_path, port=free_port()).__enter__()
