"""A PACS over DICOMweb: lists are paged, series come whole, and every fault says what to do."""

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.dicom.fake_pacs import FakePacs, served
from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.web.client import DicomWeb, text_of, texts_of
from zeus_app.dicom.web.errors import NotInPacsError
from zeus_app.dicom.web.paths import is_uid
from zeus_app.errors import PacsAwayError, PacsError
from zeus_app.settings.pacs import PacsSettings, pacs_access

SECRETS = {"ZEUS_PACS_USER": "zeus", "ZEUS_PACS_PASSWORD": "s3cret"}
FIELDS = ("ModalitiesInStudy", "NumberOfStudyRelatedInstances")


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with served(FakePacs()) as running:
        yield running


def client(pacs: FakePacs, secrets: dict[str, str] | None = None, **settings: object) -> DicomWeb:
    checked = PacsSettings.model_validate({"pacs_timeout_s": 5, **settings})
    return DicomWeb(pacs_access(pacs.url, checked, secrets or {}))


def uids(pacs: FakePacs) -> list[str]:
    rows = client(pacs).studies({"ModalitiesInStudy": "MR"}, FIELDS)
    return [text_of(row, "StudyInstanceUID") for row in rows]


def fill(pacs: FakePacs, count: int) -> list[str]:
    pacs.add_rows(count)
    return list(pacs.rows)


def test_a_list_is_asked_for_page_by_page(pacs: FakePacs) -> None:
    assert uids(pacs) == []
    expected = fill(pacs, 1200)
    pacs.requests.clear()
    assert uids(pacs) == expected
    assert len(pacs.requests) == 4  # 500, 500, 200, and none
    assert "limit=500&offset=1000" in pacs.requests[2]
    assert "ModalitiesInStudy=MR" in pacs.requests[0]


def test_a_pacs_that_answers_fewer_studies_than_asked_is_asked_again(pacs: FakePacs) -> None:
    expected = fill(pacs, 250)
    pacs.page = 100
    assert uids(pacs) == expected


@pytest.mark.parametrize("count", [3, 700])
def test_a_pacs_without_pages_gives_each_study_once(pacs: FakePacs, count: int) -> None:
    expected = fill(pacs, count)
    pacs.page = 0
    assert uids(pacs) == expected
    assert len(pacs.requests) <= 2


def test_a_pacs_that_refuses_chosen_fields_is_asked_without(pacs: FakePacs) -> None:
    fill(pacs, 2)
    pacs.fault = {"/studies": 400}
    with pytest.raises(PacsError, match="answers 400"):
        uids(pacs)
    assert ["includefield" in request for request in pacs.requests] == [True, False]


def test_headers_come_from_the_study_or_else_from_its_series(
    pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.add_files(dicom_series(tmp_path, "t2_tse_tra").glob("*"))
    whole = client(pacs).metadata("1.2.3")
    pacs.fault = {"/studies/1.2.3/metadata": 501}
    assert client(pacs).metadata("1.2.3") == whole
    assert [text_of(item, "SeriesDescription") for item in whole] == ["t2_tse_tra"] * 3


def test_the_headers_of_a_study_that_is_gone_are_told_as_gone(pacs: FakePacs) -> None:
    with pytest.raises(NotInPacsError, match=r"study 1\.2\.9"):
        client(pacs).metadata("1.2.9")


def test_the_images_of_a_series_come_as_they_are_stored(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_files(dicom_series(tmp_path, "t2_tse_tra").glob("*"))
    (series,) = pacs.images["1.2.3"]
    images = list(client(pacs).retrieve_series("1.2.3", series))
    stored = [pydicom.dcmread(path) for path in sorted(tmp_path.glob("*"))]
    assert [image.SOPInstanceUID for image in images] == [one.SOPInstanceUID for one in stored]
    assert [image.PixelData for image in images] == [one.PixelData for one in stored]
    assert "transfer-syntax=*" in pacs.headers["Accept"]


def test_a_series_names_its_study(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_files(dicom_series(tmp_path, "t2_tse_tra").glob("*"))
    (series,) = pacs.images["1.2.3"]
    assert client(pacs).study_of_series(series) == "1.2.3"
    assert client(pacs).study_of_series("1.2.9") == ""
    pacs.fault = {"/series": 400}  # a PACS without a search over all studies
    assert client(pacs).study_of_series(series) == ""


def test_user_and_password_are_sent(pacs: FakePacs) -> None:
    list(client(pacs, SECRETS).studies({}, ()))
    assert pacs.headers["Authorization"] == "Basic emV1czpzM2NyZXQ="  # base64 of zeus:s3cret


def test_a_token_is_sent(pacs: FakePacs) -> None:
    list(client(pacs, {"ZEUS_PACS_TOKEN": "abc"}).studies({}, ()))
    assert pacs.headers["Authorization"] == "Bearer abc"


def test_credentials_of_this_machine_are_not_sent(
    pacs: FakePacs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    list(client(pacs).studies({}, ()))
    assert "Authorization" not in pacs.headers


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (401, PacsError, "ZEUS_PACS_PASSWORD"),
        (403, PacsError, "credentials that may read"),
        (404, NotInPacsError, "check the address"),
        (500, PacsError, "the log of the PACS"),
        (503, PacsAwayError, "try again later"),
        ("html", PacsError, "answers no DICOM"),
        ("drop", PacsAwayError, "does not answer"),
    ],
)
def test_a_fault_says_what_to_do(
    pacs: FakePacs, fault: object, kind: type[PacsError], words: str
) -> None:
    pacs.fault = {"/studies": fault}
    with pytest.raises(PacsError, match=words) as refusal:
        list(client(pacs, SECRETS).studies({}, ()))
    assert type(refusal.value) is kind
    assert "s3cret" not in str(refusal.value)


def test_a_pacs_that_is_away_is_told_as_away(pacs: FakePacs) -> None:
    pacs.url = "http://127.0.0.1:9/dicom-web"  # nothing listens there
    with pytest.raises(PacsAwayError, match="does not answer"):
        list(client(pacs).studies({}, ()))


def test_a_slow_pacs_is_given_up(pacs: FakePacs) -> None:
    pacs.fault = {"/studies": "slow"}
    with pytest.raises(PacsAwayError, match="pacs_timeout_s"):
        list(client(pacs, pacs_timeout_s=0.1).studies({}, ()))


def test_a_redirect_to_another_host_is_not_followed(pacs: FakePacs) -> None:
    with served(FakePacs()) as other:
        pacs.fault = {"/studies": f"{other.url}/studies"}
        with pytest.raises(PacsError, match="redirects to"):
            list(client(pacs, SECRETS).studies({}, ()))
    assert other.requests == []


def test_orthanc_is_asked_for_its_newest_change(pacs: FakePacs) -> None:
    pacs.last_change = 41
    url = pacs.url.replace("/dicom-web", "/changes")
    assert client(pacs, pacs_changes=url).last_change() == 41
    assert client(pacs).last_change() == 41
    assert client(pacs, pacs_changes="off").last_change() is None


def test_a_pacs_without_changes_is_asked_for_them_once(pacs: FakePacs) -> None:
    web = client(pacs)
    assert [web.last_change(), web.last_change()] == [None, None]
    assert pacs.count("/changes") == 1


def certificate_of(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pacs")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "pacs.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_certificate_of_an_unknown_authority_is_refused_unless_a_setting_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    path = certificate_of(tmp_path)
    with served(FakePacs(), certificate=path) as pacs:
        with pytest.raises(PacsError, match="pacs_ca=FILE"):
            list(client(pacs).studies({}, ()))
        assert list(client(pacs, pacs_ca=path).studies({}, ())) == []


def test_a_pacs_that_asks_for_a_certificate_gets_that_of_the_settings(tmp_path: Path) -> None:
    path = certificate_of(tmp_path)
    with served(FakePacs(), certificate=path, asks_for=path) as pacs:
        with pytest.raises(PacsError, match="pacs_client_certificate=FILE"):
            list(client(pacs, pacs_ca=path).studies({}, ()))
        web = client(pacs, pacs_ca=path, pacs_client_certificate=path)
        assert list(web.studies({}, ())) == []


def test_a_ca_of_the_environment_does_not_replace_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing"))
    path = certificate_of(tmp_path)
    with served(FakePacs(), certificate=path) as pacs:
        assert list(client(pacs, pacs_ca=path).studies({}, ())) == []


def test_ten_thousand_studies_need_one_request_a_page(pacs: FakePacs) -> None:
    fill(pacs, 10_000)
    pacs.page = 500
    assert len(uids(pacs)) == 10_000
    assert len(pacs.requests) == 21


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [("1.2.840.10008", True), ("1", True), ("1..2", False), ("../x", False), ("1" * 65, False)],
)
def test_a_uid_is_digits_and_dots(text: str, is_valid: bool) -> None:
    assert is_uid(text) is is_valid


def test_odd_values_are_read_without_a_fault() -> None:
    assert text_of({}, "PatientID") == ""
    assert text_of({"00100020": {"vr": "LO", "Value": [None]}}, "PatientID") == ""
    assert text_of({"00100020": "x"}, "PatientID") == ""
    assert (
        text_of({"00201208": {"vr": "IS", "Value": [12]}}, "NumberOfStudyRelatedInstances") == "12"
    )
    both = {"00080061": {"vr": "CS", "Value": ["MR\\SEG", None, "PR"]}}
    assert texts_of(both, "ModalitiesInStudy") == ("MR", "SEG", "PR")
