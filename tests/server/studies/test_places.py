"""A folder or a PACS, as a command line names it."""

from pathlib import Path

import pytest

from zeus_app.dicom.web.client import DicomWeb
from zeus_app.errors import InputError
from zeus_app.server.studies.places import folder_for, place_of
from zeus_app.settings.config import ZeusConfig, default_state_folder

PACS = "https://pacs.example:8443/dicom-web"


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    assert place_of(str(tmp_path), ZeusConfig()) == tmp_path
    assert folder_for(tmp_path) == tmp_path


def test_an_address_is_a_pacs() -> None:
    place = place_of(f"{PACS}/", ZeusConfig())
    assert isinstance(place, DicomWeb)
    assert str(place) == PACS


def test_each_pacs_has_a_state_folder_of_its_own_wherever_the_server_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for folder, address in ((tmp_path, PACS), (Path("/"), PACS), (Path("/"), f"{PACS}/other")):
        monkeypatch.chdir(folder)
        names.append(default_state_folder(folder_for(place_of(address, ZeusConfig()))).name)
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("pacs-pacs.example-8443-dicom-web-")


def test_another_address_is_refused() -> None:
    with pytest.raises(InputError, match="dicom-web"):
        place_of("ftp://pacs/dicom-web", ZeusConfig())
