"""Folds for cross-validation that keep a patient's studies together."""

import random
from collections.abc import Mapping

MOST_FOLDS = 5
_SEED = 0


def folds_by_patient(patients: Mapping[str, str]) -> list[dict[str, list[str]]]:
    """Folds for cross-validation, as nnU-Net's splits_final.json holds them.

    Args:
        patients: case -> patient.

    Returns:
        Up to five {"train": cases, "val": cases}. A patient is never on both sides, and each case
        is validated once. Empty for fewer than two patients.
    """
    names = sorted(set(patients.values()))
    random.Random(_SEED).shuffle(names)
    count = min(MOST_FOLDS, len(names))
    held_back = [set(names[start::count]) for start in range(count)] if count > 1 else []
    return [
        {
            "train": [case for case, patient in patients.items() if patient not in held],
            "val": [case for case, patient in patients.items() if patient in held],
        }
        for held in held_back
    ]
