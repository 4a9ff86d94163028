"""Labels, uploads and sessions that the server must refuse."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests

from tests.server.conftest import SHAPE, affine, lesion_file, save
from tests.server.routes.replies import detail
from tests.server.running import Server

pytestmark = pytest.mark.usefixtures("stored_files")


def submit(server: Server, image: str, file: Path) -> requests.Response:
    with file.open("rb") as label:
        return requests.put(
            f"{server.url}/datastore/label", params={"image": image, "tag": "final"},
            files={"label": (file.name, label)}, timeout=60,
        )  # fmt: skip


def upload(server: Server, image: str, file: Path) -> requests.Response:
    with file.open("rb") as content:
        return requests.put(
            f"{server.url}/datastore/image", params={"image": image},
            files={"file": (file.name, content)}, timeout=60,
        )  # fmt: skip


def test_a_label_of_another_shape_is_refused(server: Server, tmp_path: Path) -> None:
    label = save(tmp_path / "label.nii.gz", np.zeros((24, 20, 5), np.uint8), affine())
    response = submit(server, "alpha", label)
    assert response.status_code == 400
    assert "24×20×5" in detail(response)
    assert "24×20×6" in detail(response)


def test_a_label_at_another_position_is_refused(server: Server, tmp_path: Path) -> None:
    label = save(tmp_path / "label.nii.gz", np.zeros(SHAPE, np.uint8), affine(flip=(1, -1, 1)))
    assert submit(server, "alpha", label).status_code == 400


@pytest.mark.parametrize("value", [3, 256 + 1])
def test_a_label_of_an_unknown_class_is_refused(server: Server, tmp_path: Path, value: int) -> None:
    array = np.zeros(SHAPE, np.int16)
    array[3, 3, 3] = value
    response = submit(server, "alpha", save(tmp_path / "label.nii.gz", array, affine()))
    assert response.status_code == 400
    assert str(value) in detail(response)


def test_a_truncated_label_is_refused(server: Server, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = save(tmp_path / "label.nii.gz", rng.integers(0, 2, SHAPE, dtype=np.uint8), affine())
    label.write_bytes(label.read_bytes()[:-200])
    assert submit(server, "alpha", label).status_code == 400


def test_a_label_damaged_in_transit_is_refused(server: Server, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = save(tmp_path / "label.nii.gz", rng.integers(0, 2, SHAPE, dtype=np.uint8), affine())
    content = bytearray(label.read_bytes())
    content[len(content) // 2] ^= 0xFF  # inside the compressed stream
    label.write_bytes(content)
    response = submit(server, "alpha", label)
    assert response.status_code == 400
    assert "cannot be read" in detail(response)


def test_a_label_of_an_unknown_study_is_not_found(server: Server, tmp_path: Path) -> None:
    assert submit(server, "nobody", lesion_file(tmp_path / "label.nii.gz")).status_code == 404


def test_refused_labels_leave_nothing_behind(server: Server, tmp_path: Path) -> None:
    label = save(tmp_path / "label.nii.gz", np.zeros((3, 3, 3), np.uint8), affine())
    submit(server, "alpha", label)
    versions = requests.get(f"{server.url}/zeus/labels/alpha", timeout=60).json()["versions"]
    assert versions == []


@pytest.mark.parametrize(
    "name",
    [
        "../x", "/tmp/x", "a/../b", ".hidden", "..", "", "a/b.nii.gz", "a\\b", "a\nb", "a\x00",
        " ", 300 * "a",
    ],
)  # fmt: skip
def test_an_upload_with_an_unsafe_name_is_refused(
    server: Server, tmp_path: Path, name: str
) -> None:
    file = save(tmp_path / "..t2.nii.gz", np.ones(SHAPE, np.float32), affine())
    assert upload(server, name, file).status_code == 400
    assert not (server.studies.parent / "x.nii.gz").exists()


def zip_of(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t2.nii.gz", content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t2.zip", b"no zip"),
        ("t2.zip", b""),
        ("t2.nii.gz", zip_of(b"x")),  # its name is not an archive's
        ("t2.zip", zip_of(b"0123456789" * 100).replace(b"t2.nii.gz", b"t2.nii.gx", 1)),
    ],
    ids=["text", "empty", "name", "damaged"],
)
def test_a_session_of_an_archive_that_cannot_be_unpacked_is_refused(
    server: Server, name: str, content: bytes
) -> None:
    response = requests.put(
        f"{server.url}/session/?uncompress=true", files={"files": (name, content)}, timeout=60
    )
    assert response.status_code == 400
    assert "ZIP" in detail(response)


def test_an_upload_under_a_taken_name_is_refused(server: Server, tmp_path: Path) -> None:
    file = save(tmp_path / "t2.nii.gz", np.ones(SHAPE, np.float32), affine())
    response = upload(server, "alpha", file)
    assert response.status_code == 400
    assert "is taken" in detail(response)


def test_an_unusable_upload_is_refused_and_not_listed(server: Server, tmp_path: Path) -> None:
    file = save(tmp_path / "t2.nii.gz", np.full(SHAPE, 3, np.float32), affine())
    assert upload(server, "flat", file).status_code == 400
    assert "flat" not in requests.get(f"{server.url}/zeus/studies", timeout=60).json()["studies"]


def test_no_refused_request_changes_a_stored_file(stored_files: dict[Path, bytes]) -> None:
    assert {path: path.read_bytes() for path in stored_files} == stored_files
