"""The patient of a study. All studies of a patient stay on one side of the split.

Two patients taken as one cost a little validation. One patient taken as two would validate on data
that the model was trained on. So a folder of studies is a patient, unless its name is that of a
collection.
"""

import re
from pathlib import Path

from zeus_app.studies.candidates import owner_of
from zeus_app.targets.naming import safe_id, split_name, words
from zeus_app.types import StudyCandidate

_BIDS_SUBJECT = re.compile(r"^.*?(?<![A-Za-z0-9])sub-[A-Za-z0-9]+")
_DATE_OR_NUMBER = re.compile(r"[\d._ -]+")
_SESSION = re.compile(r"[_-]ses[-_]")

# Words in names of folders of patients: BraTS "..._TrainingData/HGG", CHAOS "Train_Sets/MR".
_COLLECTIONS = words(
    "train training test testing val validation images data dataset datasets cohort cases "
    "patients subjects studies hgg lgg"
)
_MODALITIES = words("mr mri")


def patient_of(study: StudyCandidate, study_id: str, root: Path) -> str:
    """The patient of a study.

    It is the first of these that exists:

    1. the patient that the layout states, such as DICOM's Patient ID;
    2. the patient in the id: `sub-xx` with the text before it, or the text before `_ses-`;
    3. the topmost folder above the study's folder that is no collection;
    4. the topmost folder that is no collection, if the study's folder holds several studies whose
       prefixes are dates or numbers, or begin with a folder's name;
    5. the study's id.

    Args:
        study: the candidate.
        study_id: its id.
        root: the studies folder.
    """
    if study.patient:
        return study.patient
    by_name = patient_by_name(study_id)
    if by_name != study_id or _BIDS_SUBJECT.match(study_id):
        return by_name
    parts = study.folder.relative_to(root).parts
    if study.prefix and not _names_a_visit(study.prefix, parts):
        return study_id
    for depth, part in enumerate(parts if study.prefix else parts[:-1], start=1):
        if not _is_collection(part):
            return safe_id("_".join(parts[:depth]))
    return study_id


def _names_a_visit(prefix: str, folders: tuple[str, ...]) -> bool:
    """Whether prefixes like this distinguish studies of one patient instead of patients."""
    return bool(_DATE_OR_NUMBER.fullmatch(prefix)) or owner_of(prefix, folders) is not None


def patient_by_name(study_id: str) -> str:
    """The patient in a study's id: `sub-01` of `sub-01_ses-2`; without one, the id itself."""
    subject = _BIDS_SUBJECT.match(study_id)
    return subject.group() if subject else _SESSION.split(study_id, maxsplit=1)[0]


def _is_collection(folder: str) -> bool:
    pieces = {piece.text for piece in split_name(folder)}
    return folder.lower() in _MODALITIES or not pieces.isdisjoint(_COLLECTIONS)
