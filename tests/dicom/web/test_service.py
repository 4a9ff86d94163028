"""DICOMweb answers made from files. The files hold what the answers must show."""

import email
import json
from email.message import Message
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.web.files import WebFiles, WebStudy
from zeus_app.dicom.web.paths import read_path
from zeus_app.dicom.web.service import answer
from zeus_app.errors import InputError, UnknownNameError

ROOT = "/proxy/dicom/wado"


def study_of(*folders: Path) -> WebStudy:
    files = {}
    for folder in folders:
        paths = tuple(sorted(folder.iterdir()))
        files[str(pydicom.dcmread(paths[0]).SeriesInstanceUID)] = paths
    return WebStudy(str(pydicom.dcmread(paths[0]).StudyInstanceUID), files)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    common: dict[str, Any] = {
        "StudyDescription": "Head",
        "PatientName": "Doe^Jane",
        "FrameOfReferenceUID": "1.9",
    }
    dicom_series(tmp_path / "t2", "t2_tra", **common)
    dicom_series(tmp_path / "flair", "flair_tra", study_uid="1.2.3", **common)
    dicom_series(tmp_path / "other", "t2_tra", study_uid="1.2.4", StudyDate="20250101")
    for n, path in enumerate(sorted((tmp_path / "t2").iterdir())):
        data = pydicom.dcmread(path)
        data.SOPInstanceUID, data.InstanceNumber = f"1.5.{n}", 3 - n
        data.save_as(path)
    return tmp_path


@pytest.fixture
def files(folder: Path) -> WebFiles:
    studies = [
        study_of(folder / "t2", folder / "flair"), study_of(folder / "other"),
        WebStudy("1.2.5", {}),
    ]  # fmt: skip
    return WebFiles(lambda uid: [s for s in studies if uid in ("", s.uid)], ROOT)


def body(files: WebFiles, path: str, **options: Any) -> bytes:
    return b"".join(answer(files, read_path(path), **options).body)


def listed(files: WebFiles, path: str, **parameters: str) -> list[dict[str, Any]]:
    made = answer(files, read_path(path), parameters=[*parameters.items()])
    assert made.media_type == "application/dicom+json"
    items: list[dict[str, Any]] = json.loads(b"".join(made.body))
    return items


def values(items: list[dict[str, Any]], tag: str) -> list[Any]:
    return [item[tag]["Value"][0] for item in items]


def parts(files: WebFiles, path: str, **options: Any) -> list[Message]:
    """The parts of an answer, read by Python's reader of e-mails."""
    made = answer(files, read_path(path), **options)
    whole = f"Content-Type: {made.media_type}\r\n\r\n".encode() + b"".join(made.body)
    message = email.message_from_bytes(whole)
    assert message.get_content_type() == "multipart/related"
    found = message.get_payload()
    assert isinstance(found, list)
    return [part for part in found if isinstance(part, Message)]


def series_of(folder: Path, name: str) -> str:
    return str(pydicom.dcmread(next((folder / name).iterdir())).SeriesInstanceUID)


def test_a_list_shows_each_study_once_with_its_counts(files: WebFiles) -> None:
    items = listed(files, "studies")
    assert values(items, "0020000D") == ["1.2.3", "1.2.4"]
    assert values(items, "00201206") == [2, 1]  # series
    assert values(items, "00201208") == [6, 3]  # images
    assert items[0]["00080061"]["Value"] == ["MR"]
    assert items[0]["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert items[0]["00081030"]["Value"] == ["Head"]
    assert items[0]["00081190"]["Value"] == ["/proxy/dicom/wado/studies/1.2.3"]


def test_a_list_is_searched_and_cut(files: WebFiles) -> None:
    assert values(listed(files, "studies", StudyDate="20250101-20250301"), "0020000D") == ["1.2.4"]
    assert values(listed(files, "studies", limit="1", offset="1"), "0020000D") == ["1.2.4"]


def test_series_are_those_of_their_study(files: WebFiles, folder: Path) -> None:
    items = listed(files, "studies/1.2.3/series")
    assert values(items, "0020000E") == [series_of(folder, "t2"), series_of(folder, "flair")]
    assert values(items, "0008103E") == ["t2_tra", "flair_tra"]
    assert values(items, "00201209") == [3, 3]
    assert values(items, "00080060") == ["MR", "MR"]


def test_images_come_by_their_numbers(files: WebFiles, folder: Path) -> None:
    items = listed(files, f"studies/1.2.3/series/{series_of(folder, 't2')}/instances")
    assert values(items, "00200013") == [1, 2, 3]
    assert values(items, "00080018") == ["1.5.2", "1.5.1", "1.5.0"]
    assert values(items, "00280010") == [4, 4, 4]


@pytest.mark.parametrize("path", ["studies/9", "studies/9/series", "studies/9/instances"])
def test_a_list_of_an_unknown_study_is_empty_and_its_files_are_refused(
    files: WebFiles, path: str
) -> None:
    if path == "studies/9":
        with pytest.raises(UnknownNameError, match="DICOMweb resource 'studies/9'"):
            body(files, path)
    else:
        assert listed(files, path) == []


def test_metadata_are_those_of_the_files(files: WebFiles, folder: Path) -> None:
    series = series_of(folder, "t2")
    items = listed(files, f"studies/1.2.3/series/{series}/metadata")
    back = [pydicom.Dataset.from_json(item) for item in items]
    truth = [pydicom.dcmread(path) for path in sorted((folder / "t2").iterdir())]
    for name in ("SOPInstanceUID", "ImagePositionPatient", "ImageOrientationPatient",
                 "PixelSpacing", "FrameOfReferenceUID", "Rows", "Columns"):  # fmt: skip
        assert [data[name].value for data in back] == [data[name].value for data in truth]


@pytest.mark.parametrize(("path", "count"), [("studies/1.2.3", 6), ("studies/1.2.4", 3)])
def test_metadata_of_a_study_are_those_of_all_its_files(
    files: WebFiles, path: str, count: int
) -> None:
    assert len(listed(files, f"{path}/metadata")) == count


def test_a_file_comes_as_it_is(files: WebFiles, folder: Path) -> None:
    path = f"studies/1.2.3/series/{series_of(folder, 't2')}/instances/1.5.1"
    (part,) = parts(files, path)
    assert part.get_content_type() == "application/dicom"
    assert part.get_payload(decode=True) == (folder / "t2" / "001.dcm").read_bytes()


def test_all_files_of_a_study_come_in_parts(files: WebFiles) -> None:
    assert len(parts(files, "studies/1.2.3")) == 6


@pytest.mark.parametrize("is_implicit", [True, False])
def test_a_file_of_an_old_scanner_gets_its_preamble(
    files: WebFiles, folder: Path, is_implicit: bool
) -> None:
    path, series = folder / "t2" / "001.dcm", series_of(folder, "t2")
    data = pydicom.dcmread(path)
    data.is_implicit_VR = is_implicit
    raw = DicomBytesIO()
    raw.is_little_endian, raw.is_implicit_VR = True, is_implicit
    write_dataset(raw, data)
    path.write_bytes(raw.getvalue())
    (part,) = parts(files, f"studies/1.2.3/series/{series}/instances/1.5.1")
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content[128:132] == b"DICM"
    assert pydicom.dcmread(DicomBytesIO(content)).pixel_array.tolist() == data.pixel_array.tolist()


def test_a_frame_comes_with_its_transfer_syntax(files: WebFiles, folder: Path) -> None:
    path = f"studies/1.2.3/series/{series_of(folder, 't2')}/instances/1.5.1/frames/1"
    (part,) = parts(files, path)
    assert part["Content-Type"] == ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1")
    truth = pydicom.dcmread(folder / "t2" / "001.dcm").PixelData
    assert part.get_payload(decode=True) == truth


def test_bulk_data_are_what_the_metadata_leave_out(files: WebFiles, folder: Path) -> None:
    path = folder / "t2" / "001.dcm"
    data = pydicom.dcmread(path)
    data.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    data.add_new(0x00291010, "OB", b"\x05" * 5000)
    data.save_as(path)
    image = f"studies/1.2.3/series/{series_of(folder, 't2')}/instances/1.5.1"
    (item,) = listed(files, f"{image}/metadata")
    assert item["00291010"]["BulkDataURI"] == f"{ROOT}/{image}/bulkdata/0"
    (part,) = parts(files, f"{image}/bulkdata/0")
    assert part.get_payload(decode=True) == b"\x05" * 5000
    for other in ("1", "x"):
        with pytest.raises(UnknownNameError):
            body(files, f"{image}/bulkdata/{other}")


@pytest.mark.parametrize("kind", ["rendered", "thumbnail"])
def test_a_picture_is_a_png(files: WebFiles, folder: Path, kind: str) -> None:
    made = answer(files, read_path(f"studies/1.2.3/series/{series_of(folder, 't2')}/{kind}"))
    assert made.media_type == "image/png"
    assert b"".join(made.body)[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "path",
    ["studies/1.2.4/series/{t2}/metadata", "studies/1.2.3/series/{t2}/instances/1.5.9",
     "studies/1.2.3/series/1.9", "studies/1.2.3/series/{t2}/instances/1.5.1/frames/2"],
)  # fmt: skip
def test_what_is_not_there_is_refused(files: WebFiles, folder: Path, path: str) -> None:
    with pytest.raises(UnknownNameError):
        body(files, path.format(t2=series_of(folder, "t2")))


def test_a_search_refuses_what_no_attribute_is(files: WebFiles) -> None:
    with pytest.raises(InputError, match="a search by 'Colour'"):
        listed(files, "studies", Colour="red")
