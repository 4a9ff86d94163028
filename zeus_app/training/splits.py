"""The split by patient into training and validation. A patient never changes sides."""

import json
import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.types import LabelledStudy

FEWEST_PATIENTS = 3
"""With fewer patients nobody is held back: the score of one patient says little."""


@dataclass(frozen=True)
class Split:
    """Study ids to train on and to validate on; and the reason if there are none to validate on."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    unvalidated: str = ""


def join_split(
    known: Mapping[str, str], patients: Iterable[str], *, fraction: float, seed: int
) -> dict[str, str]:
    """Give every new patient a side. Known patients keep theirs.

    Args:
        known: patient -> "train" or "validation".
        patients: all patients with labels now. Their order and the seed decide about new ones.
        fraction: share to hold back, above 0. At least one patient is held back, and never all.
        seed: seed of the order in which new patients are drawn.

    Returns:
        `known` with the new patients added.
    """
    sides = dict(known)
    new = [patient for patient in dict.fromkeys(patients) if patient not in sides]
    random.Random(seed).shuffle(new)
    total = len(sides) + len(new)
    most_held_back = min(max(1, round(fraction * total)), total - 1)
    for patient in new:
        held_back = sum(side == "validation" for side in sides.values())
        sides[patient] = "validation" if held_back < most_held_back else "train"
    return sides


def split_studies(
    studies: Mapping[str, LabelledStudy], path: Path, *, fraction: float, seed: int
) -> Split:
    """Split studies by patient. A file remembers every patient's side.

    The file is first written when there are `FEWEST_PATIENTS`, so that the first two labels of a
    project do not fix two sides. If too few patients are left to validate on, held-back patients
    are still not learned from. With fraction 0 they are, because the user asked for that.

    Args:
        studies: study id -> study.
        path: the JSON file; made if it is missing.
        fraction: share of patients to hold back. With 0 the file is neither read nor written.
        seed: seed of the order in which new patients are drawn.

    Raises:
        InputError: every study belongs to a held-back patient.
    """
    patients = {study_id: studies[study_id].patient for study_id in sorted(studies)}
    if fraction == 0:
        return Split(tuple(patients), (), "validation_fraction is 0")
    known = read_sides(path)
    too_few = len(set(patients.values())) < FEWEST_PATIENTS
    sides = known if too_few else join_split(known, patients.values(), fraction=fraction, seed=seed)
    if sides != known:
        write_text_atomically(path, json.dumps(sides, indent=1, sort_keys=True))
    train = tuple(name for name, patient in patients.items() if sides.get(patient) != "validation")
    if patients and not train:
        raise _only_held_back(set(patients.values()))
    if too_few:
        return Split(train, (), f"fewer than {FEWEST_PATIENTS} patients")
    validation = tuple(study_id for study_id in patients if study_id not in train)
    return Split(train, validation, "" if validation else "no study is of a held-back patient")


def read_sides(path: Path) -> dict[str, str]:
    """Patient -> "train" or "validation", from the JSON file of a split; empty without a file.

    Raises:
        InputError: the file is damaged. A new split would train on patients that were held back.
    """
    try:
        sides = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        sides = None
    if not isinstance(sides, dict) or any(
        side not in ("train", "validation") for side in sides.values()
    ):
        raise InputError(
            f"{path.name}, which holds each patient's side of the split, is damaged",
            expected='a JSON object such as {"patient-1f3a9c2b04d7": "train"}',
            remedy="restore it from a backup; or delete it, and the next training draws new sides",
        )
    return sides


def _only_held_back(patients: Collection[str]) -> InputError:
    return InputError(
        f"only held-back patients are left: {', '.join(sorted(patients))}",
        expected="a labelled study of at least one patient to learn from",
        remedy="submit labels of other patients, name fewer studies in exclude, or set"
        " validation_fraction to 0",
    )
