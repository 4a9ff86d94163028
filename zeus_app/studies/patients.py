"""Which patient a study is of, so that all studies of one stay on one side of a split.

Taking two patients for one costs a little validation; taking one for two would validate on what
was learnt. So a folder of studies is a patient unless its name says that it is a collection.
"""

import re
from pathlib import Path

from zeus_app.studies.candidates import owner_of
from zeus_app.targets.naming import safe_id, split_name, words
from zeus_app.types import StudyCandidate

_BIDS_SUBJECT = re.compile(r"^.*?(?<![A-Za-z0-9])sub-[A-Za-z0-9]+")
_DATE_OR_NUMBER = re.compile(r"[\d._ -]+")
_SESSION = re.compile(r"[_-]ses[-_]")

# Words of folders that hold patients: BraTS' "..._TrainingData/HGG", CHAOS' "Train_Sets/MR".
_COLLECTIONS = words(
    "train training test testing val validation images data dataset datasets cohort cases "
    "patients subjects studies hgg lgg"
)
_MODALITIES = words("mr mri")


def patient_of(found: StudyCandidate, study_id: str, root: Path) -> str:
    """The patient of a study: what its files say, else its BIDS subject, else its place.

    Args:
        found: the study as its layout found it.
        study_id: its id.
        root: the studies folder.

    Returns:
        The layout's own word (DICOM's Patient ID); `sub-xx` with what precedes it; the top folder
        where a study lies in folders below it, or is one of several in it that are told apart by
        dates, by numbers, or by its own name and more, collections aside; else the study's id.
    """
    if found.patient:
        return found.patient
    by_name = patient_by_name(study_id)
    if by_name != study_id or _BIDS_SUBJECT.match(study_id):
        return by_name
    parts = found.folder.relative_to(root).parts
    if found.prefix and not _names_an_examination(found.prefix, parts):
        return study_id
    for depth, part in enumerate(parts if found.prefix else parts[:-1], start=1):
        if not _is_collection(part):
            return safe_id("_".join(parts[:depth]))
    return study_id


def _names_an_examination(prefix: str, folders: tuple[str, ...]) -> bool:
    """Whether a prefix tells examinations of one patient apart, and no patients."""
    return bool(_DATE_OR_NUMBER.fullmatch(prefix)) or owner_of(prefix, folders) is not None


def patient_by_name(study_id: str) -> str:
    """The patient that a study's id tells: `sub-01_ses-2` is of `sub-01`; else the id itself."""
    subject = _BIDS_SUBJECT.match(study_id)
    return subject.group() if subject else _SESSION.split(study_id, maxsplit=1)[0]


def _is_collection(folder: str) -> bool:
    pieces = {piece.text for piece in split_name(folder)}
    return folder.lower() in _MODALITIES or not pieces.isdisjoint(_COLLECTIONS)
