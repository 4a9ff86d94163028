"""Which patients are learnt from and which are held back: decided once, then kept."""

import json
import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.files import write_text_atomically
from zeus_app.types import LabelledStudy

FEWEST_PATIENTS = 3
"""Below this nobody is held back: one patient says nothing about the next."""


@dataclass(frozen=True)
class Split:
    """Study ids to learn from and to validate on."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


def join_split(
    known: Mapping[str, str], patients: Iterable[str], *, fraction: float, seed: int
) -> dict[str, str]:
    """Give every new patient a side; nobody who has one ever changes it.

    Args:
        known: patient -> "train" or "validation".
        patients: all patients with labels now.
        fraction: share to hold back; when above 0, at least one patient of three or more, and
            never all.
        seed: of the order in which new patients are drawn.

    Returns:
        `known` with the new patients added.
    """
    sides = dict(known)
    new = sorted(set(patients) - set(sides))
    random.Random(seed).shuffle(new)
    total = len(sides) + len(new)
    enough = fraction > 0 and total >= FEWEST_PATIENTS
    wanted = min(max(1, round(fraction * total)), total - 1) if enough else 0
    for patient in new:
        held_back = sum(side == "validation" for side in sides.values())
        sides[patient] = "validation" if held_back < wanted else "train"
    return sides


def split_studies(
    studies: Mapping[str, LabelledStudy], path: Path, *, fraction: float, seed: int
) -> Split:
    """Split studies by patient, through the file that remembers who is on which side.

    Patients are written down only once there are enough of them to hold one back, so that the
    first two labels of a new project do not fix everybody's side.

    Args:
        studies: id -> study.
        path: the file, JSON; made when there is none.
        fraction: share of patients to hold back.
        seed: of the order in which new patients are drawn.

    Raises:
        InputError: every study is of a patient who is held back.
    """
    patients = {name: studies[name].patient for name in sorted(studies)}
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    sides = join_split(known, patients.values(), fraction=fraction, seed=seed)
    if "validation" in sides.values() and sides != known:
        write_text_atomically(path, json.dumps(sides, indent=1, sort_keys=True))
    train = tuple(name for name, patient in patients.items() if sides[patient] == "train")
    if patients and not train:
        raise _nobody_to_learn_from(set(patients.values()))
    return Split(train, tuple(name for name in patients if name not in train))


def _nobody_to_learn_from(patients: Collection[str]) -> InputError:
    return InputError(
        f"only held-back patients are left: {', '.join(sorted(patients))}",
        expected="a labelled study of at least one patient to learn from",
        remedy="submit labels of other patients, or leave fewer studies out with exclude",
    )
