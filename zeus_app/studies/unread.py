"""List image files of formats that Zeus does not read."""

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
    index = {
        study.folder: number
        for number, study in enumerate(found)
        if isinstance(study, StudyCandidate) and study.folder != root and not study.prefix
    }
    for path, reason in unread.items():
        owner = next((folder for folder in path.parents if folder in index), None)
        study = found[index[owner]] if owner else None
        if isinstance(study, StudyCandidate) and owner is not None:
            image = UnusedImage((path,), f"{path.name}: {reason}")
            found[index[owner]] = replace(study, unused=(*study.unused, image))
        else:
            text = f"{path.name} cannot be read: {reason}"
            found.append(RejectedStudy(stem(path), path.parent, (path,), text))
    return found
