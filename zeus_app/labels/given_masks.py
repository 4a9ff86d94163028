"""The masks of a folder that the user names. A mask's name, or a folder's, tells its study.

`masks/anna.nii.gz`, `masks/anna_seg.nii.gz`, `masks/anna/seg.nii.gz` and
`masks/sub-01/ses-2/lesion.nii.gz` belong to the studies `anna` and `sub-01_ses-2`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from zeus_app.labels.mask_folders import walk_folders
from zeus_app.labels.mask_search import FoundMasks
from zeus_app.studies.candidates import files_of, owner_of
from zeus_app.targets.naming import safe_id
from zeus_app.types import StudyCandidate
from zeus_app.volumes.formats import unread_format
from zeus_app.volumes.sources import is_volume, stem

_NO_STUDY = "no study that can be used is called so"


def search_given(
    folder: Path, studies: Mapping[str, StudyCandidate], *, skip: Collection[Path] = ()
) -> FoundMasks:
    """Find the study of each file below a folder of masks. Only names are read.

    Args:
        folder: the folder of masks. Images of the studies in it are no masks.
        studies: study id -> study.
        skip: folders that are not searched.
    """
    images = {path for study in studies.values() for path in files_of(study.sources)}
    calls = _calls(studies)
    found: dict[str, list[Path]] = defaultdict(list)
    placed, strays = set[Path](), dict[Path, str]()
    for _, files in walk_folders(folder, skip):
        for path in files:
            if path in images or not (is_volume(path) or unread_format(path)):
                continue
            placed.add(path)
            owners = calls.get(_told(path, folder, calls), ())
            if len(owners) == 1:
                found[owners[0]].append(path)
            else:
                strays[path] = f"it may belong to {' or '.join(owners)}" if owners else _NO_STUDY
    near = {study: tuple(paths) for study, paths in found.items()}
    return FoundMasks(near, {}, frozenset(placed), strays)


def _calls(studies: Mapping[str, StudyCandidate]) -> dict[str, tuple[str, ...]]:
    """What a study may be called -> the ids of the studies that are."""
    calls: dict[str, set[str]] = defaultdict(set)
    for study_id, study in studies.items():
        names = (study.name, study.prefix, study.folder.name, *study.former_names)
        for name in filter(None, (study_id, *names, *map(safe_id, names))):
            calls[name].add(study_id)
    return {name: tuple(sorted(ids)) for name, ids in calls.items()}


def _told(path: Path, folder: Path, calls: Collection[str]) -> str:
    """The longest name of a study that the file's name or a folder's begins with; "" if none."""
    told = (owner_of(text, calls) for text in _texts(path, folder))
    return max(filter(None, told), key=len, default="")


def _texts(path: Path, folder: Path) -> Iterator[str]:
    """The file's name, and with those of the folders above it: sub-01_ses-2_lesion."""
    parts = (*path.parent.relative_to(folder).parts, stem(path))
    for first in range(len(parts)):
        yield "_".join(parts[first:])
