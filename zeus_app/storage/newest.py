"""Give files of several former names one name. The newest gets it; the others stay beside it.

`x.json` that is not the newest becomes `x+former-1.json`. No study has such a name: `folder_name`
quotes the plus sign. Every step is a rename that replaces nothing, so that a start that was killed
is completed by the next one.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

_MARK = "+former-"
_ENDINGS = (".json", ".nii.gz")


def keep_newest(paths: Sequence[Path], target: Path, age: Callable[[Path], float]) -> int:
    """Rename the newest of some files to `target`, and the others to free names beside it.

    Args:
        paths: files or folders under former names. Those that are missing are skipped.
        target: the name now. It may be taken by a file that counts like the others.
        age: gives the time of a file; the largest is the newest. Of equal ones `target` counts.

    Returns:
        How many were renamed.
    """
    former = [path for path in paths if path.exists()]
    if not former:
        return 0
    present = [*former, target] if target.exists() else former
    newest = max(reversed(present), key=age)
    others = [path for path in present if path != newest]
    if newest != target:
        if target in others:
            target.rename(_free_name(target))
            others.remove(target)
        newest.rename(target)
    for path in others:
        path.rename(_free_name(target))
    return len(former)


def merge_folders(folders: Sequence[Path], target: Path, age: Callable[[Path], float]) -> int:
    """Move the content of some folders to `target`; of entries with one name, see `keep_newest`.

    Args:
        folders: folders under former names. Those that are missing are skipped.
        target: the name now. It may exist.
        age: see `keep_newest`.

    Returns:
        How many folders and entries were renamed.
    """
    former = [path for path in folders if path.is_dir()]
    if len(former) == 1 and not target.exists():
        former[0].rename(target)
        return 1
    for name in sorted({path.name for folder in former for path in folder.iterdir()}):
        target.mkdir(exist_ok=True)
        keep_newest([folder / name for folder in former], target / name, age)
    for folder in former:
        folder.rmdir()
    return len(former)


def written(path: Path) -> float:
    """When a file, or the newest file in a folder, was written, in seconds since 1970."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return max((file.stat().st_mtime for file in files), default=0.0)


def _free_name(path: Path) -> Path:
    ending = next((ending for ending in _ENDINGS if path.name.endswith(ending)), "")
    name, number = path.name.removesuffix(ending), 1
    while (other := path.with_name(f"{name}{_MARK}{number}{ending}")).exists():
        number += 1
    return other
