"""Replace patients' names in splits and checkpoints, which version 0.2.0 and older wrote.

A patient's name may be a DICOM Patient ID. So may be the id of a study, if its files lay in the
studies folder itself; it has another id now. Every file is replaced by an atomic rename. A file
that was replaced before stays as it is.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.process_lock import LockedError
from zeus_app.training.checkpoint import Checkpoints

logger = logging.getLogger(__name__)
Json = dict[str, Any]
Rename = Callable[[str], str]
_SHORT = 3  # digits
_OF_ANOTHER_SHAPE = (ValueError, TypeError, AttributeError, RecursionError)


def pseudonymise_trainings(root: Path, patient_now: Rename, new_ids: Mapping[str, str]) -> None:
    """Replace names in the splits and checkpoints of all targets and models.

    Args:
        root: the state folder.
        patient_now: gives a patient's pseudonym, and a pseudonym unchanged.
        new_ids: former id of a study -> its id now.
    """
    for path in root.glob("*/splits.json"):
        _replace(path, lambda sides: _new_sides(sides, patient_now))
    for folder in root.glob("*/*/checkpoints"):
        for path in folder.rglob("v*.json"):
            _replace(path, lambda info: _new_info(info, patient_now, new_ids))
        for path in folder.rglob("running.pt"):
            _replace_resume(Checkpoints(path.parent), patient_now, new_ids)


def _replace(path: Path, renew: Callable[[Json], Json]) -> None:
    try:
        content = json.loads(path.read_bytes())
        renewed = renew(content)
    except (OSError, *_OF_ANOTHER_SHAPE):
        return  # damaged or foreign; whoever reads it says so
    if renewed != content:
        write_text_atomically(path, json.dumps(renewed, indent=1))


def _new_sides(sides: Json, patient_now: Rename) -> Json:
    """The same sides under pseudonyms. Of two entries for one patient, held back counts."""
    renewed: Json = {}
    for patient, side in sides.items():
        name = patient_now(patient)
        renewed[name] = "validation" if renewed.get(name) == "validation" else side
    return dict(sorted(renewed.items()))


def _new_info(info: Json, patient_now: Rename, new_ids: Mapping[str, str]) -> Json:
    """The description of a version with other names. Lists and tuples keep their type."""

    def study_now(study: str) -> str:
        return new_ids.get(study, study)

    def renamed(studies: Any) -> Any:
        return type(studies)(map(study_now, studies))

    renew: dict[str, Callable[[Any], Any]] = {
        "patients": lambda patients: type(patients)(sorted(set(map(patient_now, patients)))),
        "studies": renamed,
        "validation": renamed,
        "left_out": lambda reasons: {
            study_now(study): _in_text(reason, new_ids) for study, reason in reasons.items()
        },
        "note": lambda note: _in_text(note, new_ids),
        "settings": lambda settings: {
            name: _in_list(value, study_now) if name == "exclude" else value
            for name, value in settings.items()
        },
    }
    return {
        field: renew[field](value) if field in renew else value for field, value in info.items()
    }


def _in_list(text: str, study_now: Rename) -> str:
    """A comma-separated list of studies with other ids."""
    return ",".join(study_now(study.strip()) for study in text.split(","))


def _in_text(text: str, new_ids: Mapping[str, str]) -> str:
    """A text in which former ids are replaced where they stand as whole words.

    A short number stays: it may count something, and it is no Patient ID that names a person.
    """
    for old, new in new_ids.items():
        if old.isdecimal() and len(old) <= _SHORT:
            continue
        text = re.sub(rf"(?<![\w.-]){re.escape(old)}(?![\w-]|\.\d)", new, text)
    return text


def _replace_resume(
    checkpoints: Checkpoints, patient_now: Rename, new_ids: Mapping[str, str]
) -> None:
    """Replace names in the resume file, unless a training writes it just now."""
    try:
        with checkpoints.lock.hold("migration"):
            saved = checkpoints.interrupted()
            renewed = _new_info(saved["info"], patient_now, new_ids) if saved else None
            if saved and renewed != saved["info"]:
                checkpoints.save(checkpoints.resume_path, {**saved, "info": renewed})
    except LockedError:
        logger.warning("Zeus: the resume file is in use; the next start takes names out of it")
    except _OF_ANOTHER_SHAPE:
        return  # foreign; whoever reads it says so
