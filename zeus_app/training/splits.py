"""Which patients are learnt from and which are held back: decided once, then kept."""

import json
import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.types import LabelledStudy

FEWEST_PATIENTS = 3
"""Below this nobody is held back: one patient says nothing about the next."""


@dataclass(frozen=True)
class Split:
    """Study ids to learn from and to validate on, and why there are none of the latter."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    unvalidated: str = ""


def join_split(
    known: Mapping[str, str], patients: Iterable[str], *, fraction: float, seed: int
) -> dict[str, str]:
    """Give every new patient a side; nobody who has one ever changes it.

    Args:
        known: patient -> "train" or "validation".
        patients: all patients with labels now.
        fraction: share to hold back, above 0; at least one patient, and never all.
        seed: of the order in which new patients are drawn.

    Returns:
        `known` with the new patients added.
    """
    sides = dict(known)
    new = sorted(set(patients) - set(sides))
    random.Random(seed).shuffle(new)
    total = len(sides) + len(new)
    wanted = min(max(1, round(fraction * total)), total - 1)
    for patient in new:
        held_back = sum(side == "validation" for side in sides.values())
        sides[patient] = "validation" if held_back < wanted else "train"
    return sides


def split_studies(
    studies: Mapping[str, LabelledStudy], path: Path, *, fraction: float, seed: int
) -> Split:
    """Split studies by patient, through the file that remembers who is on which side.

    Patients are written down only once there are enough of them to hold one back, so that the
    first two labels of a new project do not fix everybody's side. Too few to validate on, those
    who are held back are still not learnt from; with a fraction of 0 they are, as that is a wish.

    Args:
        studies: id -> study.
        path: the file, JSON; made when there is none.
        fraction: share of patients to hold back; 0 neither reads nor writes the file.
        seed: of the order in which new patients are drawn.

    Raises:
        InputError: every study is of a patient who is held back.
    """
    patients = {name: studies[name].patient for name in sorted(studies)}
    if fraction == 0:
        return Split(tuple(patients), (), "validation_fraction is 0")
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    few = len(set(patients.values())) < FEWEST_PATIENTS
    sides = known if few else join_split(known, patients.values(), fraction=fraction, seed=seed)
    if sides != known:
        write_text_atomically(path, json.dumps(sides, indent=1, sort_keys=True))
    train = tuple(name for name, patient in patients.items() if sides.get(patient) != "validation")
    if patients and not train:
        raise _nobody_to_learn_from(set(patients.values()))
    if few:
        return Split(train, (), f"fewer than {FEWEST_PATIENTS} patients")
    validation = tuple(name for name in patients if name not in train)
    return Split(train, validation, "" if validation else "no study is of a held-back patient")


def _nobody_to_learn_from(patients: Collection[str]) -> InputError:
    return InputError(
        f"only held-back patients are left: {', '.join(sorted(patients))}",
        expected="a labelled study of at least one patient to learn from",
        remedy="submit labels of other patients, leave fewer studies out with exclude, or set"
        " validation_fraction to 0",
    )
