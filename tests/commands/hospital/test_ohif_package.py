import base64
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from zeus_app.commands.hospital.ohif_package import OHIF, NpmPackage, viewer_folder
from zeus_app.errors import InputError


def archive(*names: str) -> bytes:
    """A .tgz of files that hold their own names."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as members:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            members.addfile(member, io.BytesIO(name.encode()))
    return content.getvalue()


def package(content: bytes) -> NpmPackage:
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    return NpmPackage("@ohif/app", "1.2.3", digest)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `npm`, the only one in PATH, that answers with the file `served`."""
    folder = tmp_path / "programs"
    folder.mkdir()
    served = tmp_path / "served"
    program = folder / "npm"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n/bin/cat {served} > app.tgz || exit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return served


def test_the_folder_has_the_viewer(npm: Path, tmp_path: Path) -> None:
    npm.write_bytes(content := archive("package/dist/index.html"))
    folder = viewer_folder(package(content), tmp_path / "viewers")
    assert (folder / "index.html").read_text() == "package/dist/index.html"


def test_npm_is_asked_once(npm: Path, tmp_path: Path) -> None:
    npm.write_bytes(content := archive("package/dist/index.html"))
    for _ in range(2):
        viewer_folder(package(content), tmp_path / "viewers")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["pack @ohif/app@1.2.3 --ignore-scripts --silent"]


def test_another_archive_is_refused_and_nothing_is_kept(npm: Path, tmp_path: Path) -> None:
    npm.write_bytes(archive("package/dist/evil.html"))
    wanted = package(archive("package/dist/index.html"))
    with pytest.raises(InputError, match="Expected: SHA-512"):
        viewer_folder(wanted, tmp_path / "viewers")
    assert not (tmp_path / "viewers").exists()


def test_an_archive_writes_nothing_beside_its_folder(npm: Path, tmp_path: Path) -> None:
    npm.write_bytes(content := archive("../../outside"))
    with pytest.raises(tarfile.TarError):
        viewer_folder(package(content), tmp_path / "viewers")
    assert list((tmp_path / "viewers").iterdir()) == []


@pytest.mark.usefixtures("npm")
def test_a_failure_of_npm_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"npm could not fetch @ohif/app 1\.2\.3.*served"):
        viewer_folder(package(b""), tmp_path / "viewers")


def test_without_npm_its_installation_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"npm is not installed.*apt-get install npm"):
        viewer_folder(package(b""), tmp_path / "viewers")


def test_the_pinned_hash_is_a_sha512() -> None:
    assert len(base64.b64decode(OHIF.sha512)) == 64
    assert os.sep not in OHIF.folder_name
