"""The names that version 0.3.0 and older gave to studies of DICOM files in folders.

They were named after the folder of their files, above one whose name told a sequence by the rules
of then. Of several in one folder each had its date in its name.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

from zeus_app.dicom.dicom_studies import SOURCE_FOLDERS
from zeus_app.dicom.series_kind import chaos_folder
from zeus_app.studies.former_words import FormerWords, split_name
from zeus_app.types import StudyCandidate

_UNDATED = "_undated"


@dataclass(frozen=True)
class FormerName:
    """The name of a study of then.

    Attributes:
        name: its name, if no other study was added to its folder since.
        alone: the name that it had while it was alone in its folder.
        folder: the folder that it was named after.
    """

    name: str
    alone: str
    folder: Path


def former_dicom_names(
    root: Path, studies: Mapping[str, StudyCandidate], words: FormerWords
) -> dict[str, FormerName]:
    """The former names of studies of DICOM files.

    Args:
        root: the studies folder. Studies in itself are left out: a Patient ID was their name.
        studies: all studies of DICOM files, by their ids now.
        words: the target's aliases.

    Returns:
        id now -> former name.
    """
    folders = {study_id: _folder(root, study, words) for study_id, study in studies.items()}
    count = Counter(folders.values())
    names = {}
    for study_id, folder in folders.items():
        alone = "_".join(folder.relative_to(root).parts)
        if alone:
            end = _end(root, studies[study_id]) if count[folder] > 1 else ""
            names[study_id] = FormerName(alone + end, alone, folder)
    return names


def _folder(root: Path, study: StudyCandidate, words: FormerWords) -> Path:
    series = (image.files for image in study.unused if image.files[0].is_file())
    unused = [path for files in series for path in files]
    used = [path for source in study.sources.values() for path in source.files]
    if chaos := chaos_folder(used[0]):
        return chaos
    folder = Path(commonpath([str(path.parent) for path in (*used, *unused)]))
    while folder != root and (
        folder.name.lower() in SOURCE_FOLDERS or words.hits(split_name(folder.name))
    ):
        folder = folder.parent
    return folder


def _end(root: Path, study: StudyCandidate) -> str:
    """The end of a study's name that tells it from others in its folder: "_" and the date."""
    folder = "_".join(study.folder.relative_to(root).parts)
    return study.name.removeprefix(folder).removesuffix(_UNDATED)
