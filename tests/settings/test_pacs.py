"""The address of a PACS, and its credentials."""

from pathlib import Path

import pytest

from zeus_app.errors import InputError
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.pacs import PacsSettings, is_pacs, pacs_access

URL = "https://pacs.hospital.example/dicom-web"
SECRETS = {"ZEUS_PACS_USER": "zeus", "ZEUS_PACS_PASSWORD": "s3cret"}


def credentials(folder: Path, text: str, *, mode: int = 0o600) -> PacsSettings:
    path = folder / "pacs.txt"
    path.write_text(text)
    path.chmod(mode)
    return PacsSettings(pacs_credentials=path)


def test_an_address_is_no_folder() -> None:
    assert is_pacs(URL)
    assert not is_pacs("/data/mri")


def test_credentials_come_from_the_environment() -> None:
    access = pacs_access(f"{URL}/", PacsSettings(), SECRETS)
    assert (access.url, access.user, access.password) == (URL, "zeus", "s3cret")


def test_a_file_of_credentials_comes_before_the_environment(tmp_path: Path) -> None:
    access = pacs_access(URL, credentials(tmp_path, "token = abc=\n"), {"ZEUS_PACS_TOKEN": "old"})
    assert access.token == "abc="


def test_credentials_are_not_shown() -> None:
    access = pacs_access(URL, PacsSettings(), {**SECRETS, "ZEUS_PACS_TOKEN": "abcdef"})
    assert not any(secret in repr(access) for secret in ("s3cret", "abcdef"))


def test_a_file_of_credentials_that_others_may_read_is_refused(tmp_path: Path) -> None:
    settings = credentials(tmp_path, "user=zeus\npassword=x\n", mode=0o644)
    with pytest.raises(InputError, match="chmod 600"):
        pacs_access(URL, settings, {})


@pytest.mark.parametrize("text", ["", "zeus:s3cret\n", "user=\n"])
def test_a_file_without_credentials_is_refused_without_its_content(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(InputError, match="user=") as refusal:
        pacs_access(URL, credentials(tmp_path, text), {})
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("name", ["pacs_ca", "pacs_client_certificate", "pacs_credentials"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}=.*missing"):
        pacs_access(URL, PacsSettings.model_validate({name: tmp_path / "missing"}), {})


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="ZEUS_PACS_PASSWORD") as refusal:
        pacs_access("http://zeus:s3cret@127.0.0.1:8042/dicom-web", PacsSettings(), {})
    assert "s3cret" not in str(refusal.value)
    assert "http://127.0.0.1:8042/dicom-web" in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://pacs/dicom-web",
        "http://",
        "http://pacs:port/",
        "http://pacs/?limit=1",
        "://",
        "s3://x",
    ],
)
def test_another_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="dicom-web"):
        pacs_access(url, PacsSettings(), {})


def test_a_filter_is_read_as_in_an_address() -> None:
    settings = PacsSettings(pacs_filter="StudyDescription=*MR prostate*&StudyDate=20240101-")
    filters = {"StudyDescription": "*MR prostate*", "StudyDate": "20240101-"}
    assert pacs_access(URL, settings, {}).filters == filters


def test_another_filter_is_refused() -> None:
    with pytest.raises(InputError, match="KEYWORD=VALUE"):
        pacs_access(URL, PacsSettings(pacs_filter="prostate"), {})


@pytest.mark.parametrize("name", ["pacs_user", "pacs_password", "pacs_token"])
def test_credentials_among_the_settings_are_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(InputError, match="other users can read") as refusal:
        ZeusConfig.from_conf({name: "s3cret"})
    assert "s3cret" not in str(refusal.value)
