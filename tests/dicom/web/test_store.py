"""Objects are stored in a PACS once, and what the PACS answers is told."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from tests.dicom.fake_pacs import FakePacs, served
from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.web.client import DicomWeb
from zeus_app.dicom.web.store import failure_of
from zeus_app.errors import PacsAwayError, PacsError
from zeus_app.settings.pacs import PacsSettings, pacs_access


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with served(FakePacs()) as running:
        yield running


@pytest.fixture
def client(pacs: FakePacs) -> DicomWeb:
    settings = PacsSettings.model_validate({"pacs_timeout_s": 5})
    secrets = {"ZEUS_PACS_USER": "zeus", "ZEUS_PACS_PASSWORD": "s3cret"}
    return DicomWeb(pacs_access(pacs.url, settings, secrets))


@pytest.fixture
def image(tmp_path: Path) -> pydicom.FileDataset:
    data = pydicom.dcmread(next(dicom_series(tmp_path, "t2").iterdir()))
    assert isinstance(data, pydicom.FileDataset)
    return data


def failed(reason: int, uid: str) -> pydicom.Dataset:
    item, answer = pydicom.Dataset(), pydicom.Dataset()
    item.ReferencedSOPInstanceUID, item.FailureReason = uid, reason
    answer.FailedSOPSequence = [item]
    return answer


def test_an_object_is_sent_once_with_the_credentials_and_arrives_as_it_is(
    pacs: FakePacs, client: DicomWeb, image: pydicom.FileDataset
) -> None:
    client.store(image)
    assert [request for request in pacs.requests if request.startswith("POST")] == [
        "POST /studies/1.2.3"
    ]
    assert pacs.headers["Authorization"].startswith("Basic ")
    assert pacs.headers["Accept"] == "application/dicom+json"
    assert pydicom.dcmread(BytesIO(pacs.stored[0])) == image


def test_a_large_object_is_sent_in_one_piece(
    pacs: FakePacs, client: DicomWeb, image: pydicom.FileDataset
) -> None:
    image.PixelData = bytes(3 << 20)
    client.store(image)
    assert "Transfer-Encoding" not in pacs.headers


def test_a_pacs_tells_which_objects_it_has(
    pacs: FakePacs, client: DicomWeb, image: pydicom.FileDataset
) -> None:
    uids = image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID
    assert not client.has_instance(*uids)
    client.store(image)
    assert client.has_instance(*uids)
    assert not client.has_instance(*uids[:2], "1.2.3")


@pytest.mark.parametrize("status", [200, 202, 409])
def test_the_reason_of_a_pacs_that_does_not_store_is_told(
    pacs: FakePacs, client: DicomWeb, image: pydicom.FileDataset, status: int
) -> None:
    pacs.stow = status, failed(0x0122, image.SOPInstanceUID)
    with pytest.raises(PacsError, match="it does not store this kind of object"):
        client.store(image)
    assert pacs.stored == []


@pytest.mark.parametrize(("status", "kind"), [(403, PacsError), (503, PacsAwayError)])
def test_a_pacs_that_refuses_is_told_by_its_status(
    pacs: FakePacs,
    client: DicomWeb,
    image: pydicom.FileDataset,
    status: int,
    kind: type[PacsError],
) -> None:
    pacs.stow = status, pydicom.Dataset()
    with pytest.raises(kind, match=f"answers {status}"):
        client.store(image)
    assert pacs.count("POST") == 1


def test_the_failure_of_another_object_is_not_this_ones() -> None:
    assert failure_of(failed(0xA700, "1.2.3"), "1.2.4") == ""


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (0xA701, "it has no room left"),
        (0xC012, "it does not understand the object"),
        (0xC122, "it does not take the object's transfer syntax"),
        (0x1234, "failure reason 0x1234"),
    ],
)
def test_a_failure_reason_is_told_in_words(number: int, reason: str) -> None:
    assert failure_of(failed(number, "1.2.3"), "1.2.3") == reason
