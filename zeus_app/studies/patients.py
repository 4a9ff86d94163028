"""The patient of a study. All studies of a patient stay on one side of the split.

Two patients taken as one cost a little validation. One patient taken as two would validate on data
that the model was trained on. So a folder of studies is a patient, unless it is a collection.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zeus_app.dicom.dicom_studies import SOURCE_FOLDERS
from zeus_app.recognition.vocabulary import shipped_vocabulary
from zeus_app.recognition.words import split_words, word_set
from zeus_app.studies.candidates import owner_of
from zeus_app.targets.naming import safe_id
from zeus_app.types import StudyCandidate

_BIDS_SUBJECT = re.compile(r"^.*?(?<![A-Za-z0-9])sub-[A-Za-z0-9]+")
_DATE_OR_NUMBER = re.compile(r"[\d._ -]+")
_DATE = re.compile(r"(?:19|20)\d{2}[._ -]?\d{2}([._ -]?\d{2})?.*")
_SESSION = re.compile(r"[_-]ses[-_]")
_NUMBERED = re.compile(r"(?P<name>.*[^\W\d].*?)[._ -]?\d+")

# Words in names of folders of patients: BraTS "..._TrainingData/HGG", CHAOS "Train_Sets/MR".
_COLLECTIONS = word_set(
    "train training test testing val validation images data dataset datasets cohort cases "
    "patients subjects studies hgg lgg"
)
# The same with a number: Center_01, site2.
_SITES = word_set("center centre site hospital clinic institution institute group batch part fold")
_MODALITIES = frozenset({"mr", "mri"})
_VISITS = word_set(
    "visit ses session tp time timepoint scan mr mri exam examination study date day week month "
    "year t m w y v followup fu baseline bl pre post preop postop op"
)


@dataclass(frozen=True)
class Patients:
    """Tells the patient of each study of a studies folder.

    Attributes:
        root: the studies folder.
        collections: folders that hold studies of several patients, by what lies in them.
    """

    root: Path
    collections: frozenset[Path]

    @classmethod
    def of_folders(cls, root: Path, folders: Iterable[Path]) -> "Patients":
        """Judge the folders above those of the studies."""
        children: dict[Path, set[str]] = defaultdict(set)
        tops: set[Path] = set()
        for folder in folders:
            parts = folder.relative_to(root).parts
            tops.add(root.joinpath(*parts[:1]))
            for depth in range(1, len(parts)):
                children[root.joinpath(*parts[:depth])].add(parts[depth])
        of_all = next(iter(tops)) if len(tops) == 1 else None
        return cls(root, frozenset(_collections(children, of_all)))

    def of(self, study: StudyCandidate, study_id: str) -> str:
        """The patient of a study.

        It is the first of these that exists:

        1. the patient that the layout states, such as DICOM's Patient ID;
        2. the patient in the id: `sub-xx` with the text before it, or the text before `_ses-`;
        3. the topmost folder above the study's folder that is no collection;
        4. the topmost folder that is no collection, if the study's folder holds several studies
           whose prefixes are dates or numbers, or begin with a folder's name;
        5. the study's id.

        Args:
            study: the candidate.
            study_id: its id.
        """
        if study.patient:
            return study.patient
        by_name = patient_by_name(study_id)
        if by_name != study_id or _BIDS_SUBJECT.match(study_id):
            return by_name
        parts = study.folder.relative_to(self.root).parts
        if study.prefix and not _names_a_visit(study.prefix, parts):
            return study_id
        for depth, _ in enumerate(parts if study.prefix else parts[:-1], start=1):
            folder = self.root.joinpath(*parts[:depth])
            if folder not in self.collections and not _is_named_collection(folder.name):
                return safe_id("_".join(parts[:depth]))
        return study_id


def _collections(children: Mapping[Path, set[str]], of_all: Path | None) -> Iterator[Path]:
    """The folders that hold several patients, by the names of the folders in them.

    Args:
        children: folder -> names of the folders in it that hold studies.
        of_all: the folder that holds all studies, if there is one.
    """
    for folder, names in children.items():
        is_top = folder == of_all and len(names) > 1 and not any(map(_may_be_visit, names))
        if is_top or _are_patients(names):
            yield folder


def _is_named_collection(folder: str) -> bool:
    words = {word.text for word in split_words(folder, shipped_vocabulary())}
    if not words.isdisjoint(_COLLECTIONS) or folder.lower() in _MODALITIES | SOURCE_FOLDERS:
        return True
    return not _SITES.isdisjoint(word.rstrip("0123456789") for word in words)


def _are_patients(names: Iterable[str]) -> bool:
    """Whether folders are called after patients: `patient01`, `patient02`; but not `visit1`."""
    matches = [_NUMBERED.fullmatch(name) for name in names]
    stems = {match["name"].lower().strip("._- ") for match in matches if match}
    if len(matches) < 2 or not all(matches) or len(stems) > 1:
        return False
    words = re.findall(r"[^\W\d_]+", stems.pop())
    return not any(word in _VISITS for word in words)


def _may_be_visit(name: str) -> bool:
    """Whether a folder may be a visit of the patient above it: a date, or a word for a visit."""
    words = re.findall(r"[^\W\d_]+", name.lower())
    return bool(_DATE.fullmatch(name)) or any(word in _VISITS for word in words)


def _names_a_visit(prefix: str, folders: tuple[str, ...]) -> bool:
    """Whether prefixes like this distinguish studies of one patient instead of patients."""
    return bool(_DATE_OR_NUMBER.fullmatch(prefix)) or owner_of(prefix, folders) is not None


def patient_by_name(study_id: str) -> str:
    """The patient in a study's id: `sub-01` of `sub-01_ses-2`; without one, the id itself."""
    subject = _BIDS_SUBJECT.match(study_id)
    return subject.group() if subject else _SESSION.split(study_id, maxsplit=1)[0]
