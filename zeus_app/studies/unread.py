"""Add to studies what lies in their folders: masks, and files that Zeus does not read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from zeus_app.types import RejectedStudy, StudyCandidate, UnusedImage
from zeus_app.volumes.sources import stem

Found = StudyCandidate | RejectedStudy


def with_unread(studies: Sequence[Found], unread: Mapping[Path, str], root: Path) -> list[Found]:
    """The studies, with the files that Zeus cannot read.

    Args:
        studies: what was found.
        unread: file -> its format, and what to do.
        root: the studies folder. A file in it belongs to no study.

    Returns:
        The same studies. A file in a study's folder, or below it, is an unused image of the study;
        every other one is a rejected study.
    """
    found = list(studies)
    index = _by_folder(found, root)
    for path, reason in unread.items():
        if not _add_unused(found, index, path, reason):
            text = f"{path.name} cannot be read: {reason}"
            found.append(RejectedStudy(stem(path), path.parent, (path,), text))
    return found


def with_skipped(studies: Sequence[Found], skipped: Mapping[Path, str], root: Path) -> list[Found]:
    """The studies, with the folders in theirs that Zeus did not search: folder -> the reason."""
    found = list(studies)
    index = _by_folder(found, root)
    for folder, reason in skipped.items():
        _add_unused(found, index, folder, reason)
    return found


def _add_unused(
    studies: list[Found], index: Mapping[Path, Sequence[int]], path: Path, reason: str
) -> bool:
    """Add an unused image to the study in whose folder it lies, if that is one study."""
    folders = (path, *path.parents)
    owners = next((index[folder] for folder in folders if folder in index), [])
    study = studies[owners[0]] if len(owners) == 1 else None
    if not isinstance(study, StudyCandidate):
        return False
    image = UnusedImage((path,), f"{path.name}: {reason}")
    studies[owners[0]] = replace(study, unused=(*study.unused, image))
    return True


def with_masks(studies: Sequence[Found], masks: Sequence[Path], root: Path) -> list[Found]:
    """The studies, with the files in the mask folders in their folders."""
    found = list(studies)
    index = _by_folder(found, root)
    for path in masks:
        for owner in next((index[folder] for folder in path.parents if folder in index), []):
            study = found[owner]
            prefix = study.prefix if isinstance(study, StudyCandidate) else ""
            if isinstance(study, StudyCandidate) and stem(path).startswith(prefix):
                found[owner] = replace(study, masks=(*study.masks, path))
    return found


def _by_folder(studies: Sequence[Found], root: Path) -> dict[Path, list[int]]:
    """Folder of a study, but not the studies folder -> places of its studies in the list."""
    index: dict[Path, list[int]] = defaultdict(list)
    for number, study in enumerate(studies):
        if isinstance(study, StudyCandidate) and study.folder != root:
            index[study.folder].append(number)
    return index
