"""Which patients are learnt from and which are held back: decided once, then kept."""

import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zeus_app.files import write_text_atomically

FEWEST_PATIENTS = 3
"""Below this nobody is held back: one patient says nothing about the next."""


@dataclass(frozen=True)
class Split:
    """Study ids to learn from and to validate on."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


def patient_of(study_id: str) -> str:
    """The patient a study belongs to: BIDS sessions (`sub-01_ses-2`) share one."""
    return re.split(r"[_-]ses[-_]", study_id, maxsplit=1)[0]


def join_split(
    known: Mapping[str, str], patients: Iterable[str], *, fraction: float, seed: int
) -> dict[str, str]:
    """Give every new patient a side; nobody who has one ever changes it.

    Args:
        known: patient -> "train" or "validation".
        patients: all patients with labels now.
        fraction: share to hold back; at least one patient of three or more when above 0.
        seed: of the order in which new patients are drawn.

    Returns:
        `known` with the new patients added.
    """
    sides = dict(known)
    new = sorted(set(patients) - set(sides))
    random.Random(seed).shuffle(new)
    total = len(sides) + len(new)
    enough = fraction > 0 and total >= FEWEST_PATIENTS
    wanted = max(1, round(fraction * total)) if enough else 0
    for patient in new:
        held_back = sum(side == "validation" for side in sides.values())
        sides[patient] = "validation" if held_back < wanted else "train"
    return sides


def split_studies(
    study_ids: Iterable[str], path: Path, *, fraction: float, seed: int
) -> Split:
    """Split studies by patient, through the file that remembers who is on which side.

    Patients are written down only once there are enough of them to hold one back, so that the
    first two labels of a new project do not fix everybody's side.
    """
    ids = sorted(study_ids)
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    sides = join_split(known, map(patient_of, ids), fraction=fraction, seed=seed)
    if "validation" in sides.values() and sides != known:
        write_text_atomically(path, json.dumps(sides, indent=1, sort_keys=True))
    held_back = {study for study in ids if sides[patient_of(study)] == "validation"}
    if len(held_back) == len(ids):  # everybody else was excluded: learn from whom there is
        return Split(train=tuple(ids), validation=())
    return Split(
        train=tuple(study for study in ids if study not in held_back),
        validation=tuple(sorted(held_back)),
    )
