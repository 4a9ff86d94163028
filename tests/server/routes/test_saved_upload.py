"""An upload lies in a folder of its own, readable by the server alone, and only for a while."""

import io
import stat

import pytest
from fastapi import UploadFile

from zeus_app.errors import InputError
from zeus_app.server.routes.saved_upload import file_name, save, saved_upload


def upload(name: str | None, content: bytes = b"voxels") -> UploadFile:
    return UploadFile(io.BytesIO(content), filename=name)


def test_an_upload_is_readable_by_the_server_alone_and_ends_with_the_request() -> None:
    with saved_upload(upload("t2.nii.gz"), default_name="image.nii.gz") as path:
        assert path.name == "t2.nii.gz"
        assert path.read_bytes() == b"voxels"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_a_refused_upload_ends_too() -> None:
    with (
        pytest.raises(InputError),
        saved_upload(upload("t2.nii.gz"), default_name="image.nii.gz") as path,
    ):
        raise InputError("a bad file", expected="a good one", remedy="send it")
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("t2.nii.gz", "t2.nii.gz"), ("/etc/t2.nii.gz", "t2.nii.gz"), ("C:\\in\\t2.nii", "t2.nii"),
        (None, "image.nii.gz"), ("", "image.nii.gz"), ("Müller 頭部.nii", "Müller 頭部.nii"),
    ],
)  # fmt: skip
def test_the_clients_name_counts_without_its_folders(sent: str | None, name: str) -> None:
    assert file_name(upload(sent), default="image.nii.gz") == name


@pytest.mark.parametrize(
    "name", ["..", ".", "x/..", "x\\..", "a\0b", "a\nb.nii", "\ud800.nii", "a" * 201, "頭" * 70]
)
def test_a_name_that_is_no_files_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"name of at most 200 bytes"):
        file_name(upload(name), default="image.nii.gz")


def test_no_file_is_written_over() -> None:
    with saved_upload(upload("t2.nii"), default_name="image.nii") as path:
        with pytest.raises(FileExistsError):
            save(io.BytesIO(b"other"), path)
        assert path.read_bytes() == b"voxels"
