"""Artifacts: files computed from other files, made once, complete or not at all, and checked."""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_LEFTOVER_SECONDS = 24 * 3600


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes. Raises OSError if the file cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_artifact(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make the files of a folder once; make them again if one is damaged.

    For files that are slow to compute from weights. The folder appears complete or not at all, and
    a manifest of hashes shows damage.

    Args:
        folder: of the artifact. Its name must change with everything that the files depend on.
        make: writes the files, without subfolders, into an empty folder.

    Returns:
        `folder`.

    Raises:
        OSError: the files cannot be saved (read-only folder, full disk).
    """
    if _is_intact(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_partial_folders(folder.parent)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as scratch:
        new = Path(scratch) / folder.name
        new.mkdir()
        make(new)
        manifest = {path.name: sha256_of(path) for path in sorted(new.iterdir())}
        (new / "manifest.json").write_text(json.dumps(manifest, indent=1))
        if not _is_intact(folder):  # another process may have made it meanwhile, and may read it
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
    return folder


def _is_intact(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        return all(sha256_of(folder / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def remove_partial_folders(folder: Path) -> None:
    """Remove the temporary folders (.partial-*) of killed processes, after a day."""
    for path in folder.glob(".partial-*"):
        if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
