"""Walk through all folders of a studies folder, those for masks and derivatives among them."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from zeus_app.recognition.words import word_set

_SYSTEM_FOLDERS = word_set("__macosx @eadir lost+found")


def walk_folders(root: Path, skip: Collection[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder with its files, sorted. Only names are read.

    Hidden files and folders, and those in `skip`, are left out. Links to folders are followed, each
    folder once. A folder that cannot be listed is left out too: finding the studies tells it.
    """
    seen = {_identity(path) for path in skip if os.path.isdir(path)}
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            if (identity := _identity(folder)) in seen:
                continue
            seen.add(identity)
            with os.scandir(folder) as found:
                entries = sorted(
                    (entry for entry in found if not entry.name.startswith(".")),
                    key=lambda entry: entry.name,
                )
                kinds = {folder / entry.name: entry.is_dir() for entry in entries}
        except OSError:
            continue
        yield folder, [path for path, is_folder in kinds.items() if not is_folder]
        below = [path for path, is_folder in kinds.items() if is_folder]
        pending += [path for path in reversed(below) if path.name.lower() not in _SYSTEM_FOLDERS]


def _identity(folder: Path) -> tuple[int, int]:
    """Device and inode."""
    status = folder.stat()
    return status.st_dev, status.st_ino
