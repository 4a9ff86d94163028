"""Files worked out from other files: made once, whole or not at all, and known to be intact."""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_LEFTOVER_SECONDS = 24 * 3600


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes. Raises OSError when it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_artifact(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder` with what `make` once wrote into it, making it again when it is not intact.

    For what is worked out from weights and slow to work out: it appears whole or not at all, and
    a manifest of hashes tells when it went bad.

    Args:
        folder: where the result lies; its name must change with everything the result depends on.
        make: writes the files, flat, into the empty folder it is given.

    Raises:
        OSError: the result cannot be kept (read-only folder, full disk).
    """
    if _is_intact(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_partial_folders(folder.parent)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as scratch:
        fresh = Path(scratch) / folder.name
        fresh.mkdir()
        make(fresh)
        manifest = {path.name: sha256_of(path) for path in sorted(fresh.iterdir())}
        (fresh / "manifest.json").write_text(json.dumps(manifest, indent=1))
        if not _is_intact(folder):  # else another process was quicker, and may be reading it
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
    return folder


def _is_intact(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        return all(sha256_of(folder / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def remove_partial_folders(folder: Path) -> None:
    """Remove the scratch folders (.partial-*) that killed processes left in `folder`."""
    for path in folder.glob(".partial-*"):
        if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
