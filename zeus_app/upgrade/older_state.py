"""Bring a state folder up to date at the start, so that what is stored follows the studies' ids.

- Until version 0.2.0 a study whose DICOM files lie in the studies folder itself was named after its
  Patient ID. No such name stays.
- Until version 0.3.0 each folder of image files was a study, a folder for one sequence too; and
  names that differ in their accents had one id. `studies/former_ids.py` tells what became of them.

Every step is an atomic rename or write that replaces nothing else. So a start that was killed is
completed by the next one.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from zeus_app.errors import InputError
from zeus_app.labels.merge import complete_merges
from zeus_app.labels.owners import studies_drawn_on
from zeus_app.labels.predictions import UNION
from zeus_app.labels.versions import LabelHistory
from zeus_app.storage.atomic import remove_half_written, write_text_atomically
from zeus_app.storage.file_lock import file_lock
from zeus_app.storage.pseudonyms import Pseudonyms
from zeus_app.storage.state import StateFolder, folder_name
from zeus_app.studies.find import find_studies
from zeus_app.studies.former_ids import FormerIds
from zeus_app.targets import OWN_FOLDERS, Target
from zeus_app.training.pseudonymise import NewNames, rename_trainings
from zeus_app.types import StudyFiles
from zeus_app.upgrade.moved_state import (
    StudyMove,
    label_tags,
    move_labels,
    move_prediction,
    move_study,
    stored_ids,
)

logger = logging.getLogger(__name__)
_RULES = "2\n"
"""The rules of ids; under those before, names that differ in their accents had one id."""


def bring_up_to_date(
    state: StateFolder,
    former: FormerIds,
    *,
    studies: Mapping[str, StudyFiles],
    pseudonyms: Pseudonyms,
) -> None:
    """Sweep a state folder, and give what is stored the present names of studies and patients.

    Args:
        state: the state folder and the target.
        former: what the studies of the target were called.
        studies: the usable studies, uploads included if they are known.
        pseudonyms: the patients' pseudonyms.

    Raises:
        InputError: a file cannot be renamed or written.
    """
    try:
        with file_lock(state.root / ".older-state.lock"):
            remove_half_written(state.root, skip=OWN_FOLDERS)
            moved = 0
            for folder in sorted(path for path in state.root.iterdir() if path.is_dir()):
                if folder.name not in OWN_FOLDERS:
                    is_own = folder == state.of_target
                    is_new = not is_own or state.study_ids.exists()
                    target = _TargetState(folder, former, studies, pseudonyms, is_own, is_new)
                    moved += target.bring_up_to_date()
            if not state.study_ids.exists():
                write_text_atomically(state.study_ids, _RULES)
    except OSError as error:
        raise InputError(
            f"the state folder cannot be brought up to date: {error.strerror}",
            expected="a state folder that Zeus may write, with room for a few files",
            remedy="make the state folder writable, or free disk space, and start again",
        ) from error
    if moved:
        logger.info("Zeus: %d files and folders of former study ids are renamed", moved)


def upgrade_once(state: StateFolder, folder: Path, target: Target) -> None:
    """Bring the state of a studies folder up to date if no server did so yet.

    It costs a search for the studies, once alone.

    Args:
        state: the state folder; it may be missing.
        folder: the studies folder. If it is missing, whoever searches it says so.
        target: the target.

    Raises:
        InputError: see `bring_up_to_date`.
    """
    if state.study_ids.exists() or not folder.is_dir():
        return
    state.root.mkdir(parents=True, exist_ok=True)
    found = find_studies(folder, target, skip=(state.root,))
    pseudonyms = Pseudonyms.of_folder(state.root)
    bring_up_to_date(state, found.former, studies=found.studies, pseudonyms=pseudonyms)


@dataclass(frozen=True)
class _TargetState:
    """The state of one target.

    Attributes:
        folder: the target's folder.
        former, studies, pseudonyms: see `bring_up_to_date`.
        is_own: whether the studies were read for it. Of other targets, Patient IDs alone are known.
        is_new: whether its studies have their ids by the present rules already.
    """

    folder: Path
    former: FormerIds
    studies: Mapping[str, StudyFiles]
    pseudonyms: Pseudonyms
    is_own: bool
    is_new: bool

    def bring_up_to_date(self) -> int:
        """Move what is stored under former ids; returns how many files and folders were moved."""
        moved = complete_merges(self.folder / "labels")
        former: dict[str, list[str]] = defaultdict(list)
        for old in sorted(self._former_and_stored()):
            now = self._ids_of(old)
            if len(now) == 1:
                former[next(iter(now))].append(old)
            else:
                moved += self._share_out(old, now)
        for new, olds in former.items():
            moved += move_study(self.folder, self._move(olds, new))
        if not self.is_new:
            for old in stored_ids(self.folder).intersection(self.former.contested):
                others = self.former.contested[old]
                moved += self._share_out(old, {old, *others})
        rename_trainings(self.folder, NewNames(self._patients_now, self._ids_of))
        return moved

    def _former_and_stored(self) -> frozenset[str]:
        """The former ids of which something is stored, and those that may be Patient IDs."""
        private = self.former.patient_ids.difference(self.former.known)
        stored = stored_ids(self.folder).difference(self.former.known)
        if not stored:
            return private
        ids = self.former.ids if self.is_own else private
        return private | {old for old in ids if old in stored or _cut(old) in stored}

    def _ids_of(self, study: str) -> frozenset[str]:
        """The ids now of a study, from its id of then or now. Where several had it, all."""
        former = self.former
        if study in former.known:
            others = frozenset() if self.is_new else former.contested.get(study, frozenset())
            return frozenset({study}) | others
        if not self.is_own and study not in former.patient_ids:
            return frozenset({study})
        return former.ids.get(study, frozenset({study}))

    def _patients_now(self, patient: str) -> frozenset[str]:
        """The pseudonyms now of a patient, from a name or pseudonym of then or now."""
        pseudonym = self.pseudonyms.of(patient)
        if not self.is_own or (self.is_new and pseudonym in self._present_patients):
            return frozenset({pseudonym})
        return self._former_patients.get(pseudonym, frozenset({pseudonym}))

    @cached_property
    def _present_patients(self) -> frozenset[str]:
        return frozenset(self.pseudonyms.of(files.patient) for files in self.studies.values())

    @cached_property
    def _former_patients(self) -> dict[str, frozenset[str]]:
        """Pseudonym of then -> pseudonyms now."""
        of = self.pseudonyms.of
        return {of(old): frozenset(map(of, now)) for old, now in self.former.patients.items()}

    def _move(self, former: Iterable[str], now: str) -> StudyMove:
        known = {*self.former.known, *self.former.ids}
        cuts = (cut for old in former if (cut := _cut(old)) and cut not in known)
        return StudyMove(tuple(former), now, self.former.sequences, tuple(map(folder_name, cuts)))

    def _share_out(self, old: str, now: Collection[str]) -> int:
        """Give labels and predictions that several studies may claim to the one they were drawn on.

        What lies on the images of none or of several stays. But no Patient ID stays as a name.
        """
        history = LabelHistory(self.folder / "labels")
        moved = 0
        for tag in label_tags(history):
            labels = [one for one in history.versions(old, tag) if not one.removed]
            if labels and (owner := self._owner(labels[-1].path, old, now)):
                moved += move_labels(history, tag, StudyMove((old,), owner))
        for mask in self.folder.glob(f"*/originals/{folder_name(old)}/*/{UNION}"):
            if owner := self._owner(mask, old, now):
                moved += move_prediction(mask.parent, old, StudyMove((old,), owner))
        if old in self.former.patient_ids and old not in self.former.known:
            return moved + move_study(self.folder, self._move([old], self.pseudonyms.of(old)))
        if old in stored_ids(self.folder):
            logger.warning(
                "Zeus: the studies %s had the id %s in earlier versions. What is stored under it"
                " does not tell whose it is, and stays in %s: check its labels",
                ", ".join(sorted(now)), old, self.folder.name,
            )  # fmt: skip
        return moved

    def _owner(self, label: Path, old: str, now: Collection[str]) -> str:
        """The one study on whose images a label lies, if it is another than `old`; else ""."""
        studies = {name: files for name, files in self.studies.items() if name in now}
        drawn_on = studies_drawn_on(label, studies)
        return next(iter(drawn_on)) if len(drawn_on) == 1 and old not in drawn_on else ""


def _cut(study: str) -> str:
    """The id without its last part, from the dot on; "" without a dot.

    Version 0.2.0 named files of clicks so. Studies shared such a file.
    """
    return unquote(folder_name(study).rpartition(".")[0])
