"""The files of a session: images alone, unpacked within bounds, in their own folder."""

import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import UploadFile

from zeus_app.errors import InputError, TooLargeError
from zeus_app.server.routes.session_files import MAX_DEPTH, MAX_ENTRIES, save_files, unpack


def upload(content: bytes, name: str = "study.zip") -> UploadFile:
    return UploadFile(io.BytesIO(content), filename=name)


def packed(files: Mapping[Any, bytes]) -> UploadFile:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return upload(file.getvalue())


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def found(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_one_file_is_the_image_and_several_are_a_folder(tmp_path: Path) -> None:
    one, several = tmp_path / "one", tmp_path / "several"
    one.mkdir()
    several.mkdir()
    assert save_files([upload(b"x", "t2.nii")], one) == one / "t2.nii"
    files = [upload(b"x", "t2.nii"), upload(b"y", "t1.nii")]
    assert save_files(files, several) == several
    assert found(several) == {"t1.nii", "t2.nii"}


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two files named 't2\.nii'"):
        save_files([upload(b"x", "t2.nii"), upload(b"y", "a/t2.nii")], tmp_path)


def test_images_are_unpacked_into_their_folders_and_hidden_files_drop(tmp_path: Path) -> None:
    files = {
        "anna/T2/1.dcm": b"x", "anna/t1.nii.gz": b"y", ".DS_Store": b"", "anna/": b"",
        "__MACOSX/anna/._t1.nii.gz": b"",
    }  # fmt: skip
    assert unpack(packed(files), tmp_path, max_bytes=10) == tmp_path
    assert found(tmp_path) == {"anna/T2/1.dcm", "anna/t1.nii.gz"}


@pytest.mark.parametrize(
    "name",
    [
        "../t2.nii", "a/../../t2.nii", "/t2.nii", "\\t2.nii", "a\\..\\t2.nii", "..\\t2.nii",
        "./t2.nii", "a/" * MAX_DEPTH + "t2.nii", "a" * 300 + ".nii", "a\nb.nii",
        "cases.yaml", "cases.json", "dataset.json", "meta.info", "sitecustomize.py", "t2.raw",
    ],
)  # fmt: skip
def test_an_entry_that_leads_out_or_is_no_image_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    with pytest.raises(InputError):
        unpack(packed({"t1.nii": b"x", name: b"y"}), folder, max_bytes=100)
    assert found(tmp_path) == set()


def test_a_link_is_refused(tmp_path: Path) -> None:
    for name in ("t2.nii", "folder"):
        with pytest.raises(InputError, match="without links"):
            unpack(packed({link(name): b"/etc/passwd"}), tmp_path, max_bytes=100)


@pytest.mark.parametrize(
    "names", [("t2.nii", "./t2.nii"), ("t2.nii", "t2.nii/t1.nii"), ("a.nii/t1.nii", "a.nii")]
)
def test_two_entries_of_one_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(InputError):
        unpack(packed(dict.fromkeys(names, b"x")), tmp_path, max_bytes=100)


def test_an_archive_that_unpacks_to_too_much_is_refused_before_a_byte_is(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError, match="1001 bytes"):
        unpack(packed({"t1.nii": bytes(1), "t2.nii": bytes(1000)}), tmp_path, max_bytes=1000)
    many = {f"{i}.nii": b"" for i in range(MAX_ENTRIES + 1)}
    with pytest.raises(TooLargeError, match=f"{MAX_ENTRIES + 1} files"):
        unpack(packed(many), tmp_path, max_bytes=1000)
    assert found(tmp_path) == set()


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    file = packed({"t2.nii": bytes(100_000)}).file
    content = file.read().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(InputError, match="one whole ZIP"):
        unpack(upload(content), tmp_path, max_bytes=1000)


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        unpack(packed({}), tmp_path, max_bytes=1000)
