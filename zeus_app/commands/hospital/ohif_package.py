"""The current OHIF: the npm package @ohif/app, a built viewer without MONAI Label's panel."""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.storage.atomic import new_folder

_TIMEOUT_S = 300


@dataclass(frozen=True)
class NpmPackage:
    """A version of a package, and the SHA-512 of its archive in base64, as npm writes it."""

    name: str
    version: str
    sha512: str

    @property
    def folder_name(self) -> str:
        """Name of the folder that it is unpacked into."""
        return f"{self.name.strip('@').replace('/', '-')}-{self.version}"


OHIF = NpmPackage(
    "@ohif/app",
    "3.13.2",
    "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
)


def viewer_folder(package: NpmPackage = OHIF, root: Path | None = None) -> Path:
    """The folder with the viewer's index.html; `npm` fetches the package at the first call.

    Args:
        package: what to fetch.
        root: the folder of all viewers; by default share/zeus/viewers of this environment.

    Raises:
        InputError: there is no npm, npm failed, or the archive is another one than expected.
    """
    root = root or Path(sys.prefix) / "share" / "zeus" / "viewers"
    folder = root / package.folder_name
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(prefix="zeus-npm-") as scratch:
            archive = _fetch(package, Path(scratch))
            _check(archive, package)
            with new_folder(folder) as new, tarfile.open(archive) as members:
                members.extractall(new, filter="data")
    return folder / "package" / "dist"


def _fetch(package: NpmPackage, scratch: Path) -> Path:
    """Let npm download the archive into an empty folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            "npm is not installed",
            expected=f"npm, which fetches {package.name} {package.version}",
            remedy="install Node.js with npm, for example as root: apt-get install npm",
        )
    command = [npm, "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--silent"]
    result = subprocess.run(
        command, cwd=scratch, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    archives = list(scratch.glob("*.tgz"))
    if result.returncode or len(archives) != 1:
        raise InputError(
            f"npm could not fetch {package.name} {package.version}: {result.stderr.strip()[-300:]}",
            expected="an npm registry that this machine reaches",
            remedy=f"run it by hand to see the reason: npm pack {package.name}@{package.version}",
        )
    return archives[0]


def _check(archive: Path, package: NpmPackage) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    found = base64.b64encode(digest).decode()
    if found != package.sha512:
        raise InputError(
            f"the archive of {package.name} {package.version} has SHA-512 {found}",
            expected=f"SHA-512 {package.sha512}",
            remedy="check which registry npm uses: npm config get registry",
        )
