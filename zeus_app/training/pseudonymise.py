"""Give studies and patients their present names in the splits and checkpoints of a target.

A patient's name may be a DICOM Patient ID, and becomes a pseudonym. Studies and patients may have
become one since, or several. Every file is replaced by an atomic rename. A file that was replaced
before stays as it is.
"""

import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.process_lock import LockedError
from zeus_app.targets.naming import UNNAMED
from zeus_app.training.checkpoint import Checkpoints

logger = logging.getLogger(__name__)
Json = dict[str, Any]
_SHORT = 3  # digits
_SIDES = ("train", "validation")
_WORD = re.compile(r"(?<![\w.-])\w[\w.-]*")
_OF_ANOTHER_SHAPE = (ValueError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class NewNames:
    """The names now.

    Attributes:
        patients: gives a patient's pseudonyms now, from a name or pseudonym of then or now.
        studies: gives a study's ids now, from an id of then or now; all if several had this id.
    """

    patients: Callable[[str], Collection[str]]
    studies: Callable[[str], Collection[str]]

    def of_studies(self, studies: Iterable[str]) -> list[str]:
        """The ids now, each once."""
        return list(dict.fromkeys(now for old in studies for now in self.of_study(old)))

    def of_study(self, study: str) -> list[str]:
        """The ids now of one study."""
        return sorted(self.studies(study))

    def of_patients(self, patients: Iterable[str]) -> list[str]:
        """The patients' pseudonyms now, sorted."""
        return sorted({now for old in patients for now in self.patients(old)})


def rename_trainings(target: Path, names: NewNames) -> None:
    """Replace names in the splits and checkpoints of all models of a target.

    Args:
        target: the target's folder in the state folder.
        names: the names now.
    """
    _replace(target / "splits.json", lambda sides: _new_sides(sides, names, target.name))
    for folder in target.glob("*/checkpoints"):
        for path in folder.rglob("v*.json"):
            _replace(path, lambda info: _new_info(info, names))
        for path in folder.rglob("running.pt"):
            _replace_resume(Checkpoints(path.parent), names)


def _replace(path: Path, renew: Callable[[Json], Json]) -> None:
    try:
        content = json.loads(path.read_bytes())
        renewed = renew(content)
    except (OSError, *_OF_ANOTHER_SHAPE):
        return  # missing, damaged or foreign; whoever reads it says so
    if renewed != content:
        write_text_atomically(path, json.dumps(renewed, indent=1))


def _new_sides(sides: Json, names: NewNames, target: str) -> Json:
    """The same sides under the names now.

    A patient with entries on both sides goes to the side of training: a model may have been trained
    on the patient's images, and must not be validated on them.
    """
    renewed: Json = {}
    on_both = set()
    for old, side in sides.items():
        for patient in names.patients(old):
            before = renewed.setdefault(patient, side)
            if before != side and before in _SIDES and side in _SIDES:
                on_both.add(patient)
                renewed[patient] = "train"
    if on_both:
        logger.warning(
            "Zeus: %d patients of target %s were on both sides of the split under former names;"
            " they are trained on from now on, and validate nothing", len(on_both), target,
        )  # fmt: skip
    return dict(sorted(renewed.items()))


def _new_info(info: Json, names: NewNames) -> Json:
    """The description of a version with the names now. Lists and tuples keep their type."""

    def renamed(studies: Any) -> Any:
        return type(studies)(names.of_studies(studies))

    renew: dict[str, Callable[[Any], Any]] = {
        "patients": lambda patients: type(patients)(names.of_patients(patients)),
        "studies": renamed,
        "validation": renamed,
        "left_out": lambda reasons: _new_reasons(reasons, names),
        "note": lambda note: _in_text(note, names),
        "settings": lambda settings: {
            name: _in_list(value, names) if name == "exclude" else value
            for name, value in settings.items()
        },
    }
    return {
        field: renew[field](value) if field in renew else value for field, value in info.items()
    }


def _new_reasons(reasons: Mapping[str, str], names: NewNames) -> Json:
    """Study -> why it was left out. All reasons of a study that was several are kept."""
    renewed: dict[str, str] = {}
    for old, reason in reasons.items():
        for study in names.of_study(old):
            before = renewed.get(study)
            text = _in_text(reason, names)
            renewed[study] = f"{before}; {text}" if before else text
    return renewed


def _in_list(text: str, names: NewNames) -> str:
    """A comma-separated list of studies with other ids."""
    return ",".join(names.of_studies(study.strip() for study in text.split(",")))


def _in_text(text: str, names: NewNames) -> str:
    """A text in which former ids are replaced where they stand as whole words.

    A short number stays: it may count something, and it is no Patient ID that names a person. So
    does an id that a study still has, and the word that was the id of a study without a name.
    """

    def renewed(match: re.Match[str]) -> str:
        word = match.group()
        ends = [i for i, c in enumerate(word) if c == "." and not word[i + 1 : i + 2].isdigit()]
        for end in (len(word), *reversed(ends)):
            old, now = word[:end], names.of_study(word[:end])
            is_number = old.isdecimal() and len(old) <= _SHORT
            if old not in (UNNAMED, *now) and not is_number:
                return ", ".join(now) + word[end:]
        return word

    return _WORD.sub(renewed, text)


def _replace_resume(checkpoints: Checkpoints, names: NewNames) -> None:
    """Replace names in the resume file, unless a training writes it just now."""
    try:
        with checkpoints.lock.hold("migration"):
            saved = checkpoints.interrupted()
            renewed = _new_info(saved["info"], names) if saved else None
            if saved and renewed != saved["info"]:
                checkpoints.save(checkpoints.resume_path, {**saved, "info": renewed})
    except LockedError:
        logger.warning("Zeus: the resume file is in use; the next start takes names out of it")
    except _OF_ANOTHER_SHAPE:
        return  # foreign; whoever reads it says so
