"""Zeus's own masks, saved with the checkpoint that made them, for scoring and review.

MONAI Label calls a model's mask "original". The folder and the routes keep that name.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from zeus_app.errors import UnknownNameError
from zeus_app.labels.files import write_volume
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.storage.state import folder_name
from zeus_app.types import Segmentation

UNION = "union.nii.gz"
"""Name of the file with the mask of all sequences."""
_PARAMS, _SEQUENCES = "answer.json", "sequences"


@dataclass(frozen=True)
class Prediction:
    """One saved prediction.

    Attributes:
        path: the union's .nii.gz file, on the source grid of the reference sequence.
        params: what the client got besides the mask, with the keys `checkpoint` and `answered`,
            the time in seconds since 1970.
    """

    path: Path
    params: Mapping[str, Any]

    @property
    def checkpoint(self) -> str:
        """The version of the weights that made it, or "untrained"."""
        return str(self.params["checkpoint"])


class Predictions:
    """The newest prediction of each checkpoint for each study.

    <study>/<checkpoint>/ holds answer.json, union.nii.gz and sequences/<sequence>.nii.gz. An older
    layout had one prediction per study; its files are ignored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, segmentation: Segmentation, params: Mapping[str, Any]) -> None:
        """Save a prediction in place of the same checkpoint's older one. The JSON comes last."""
        folder = self._folder / folder_name(segmentation.study_id) / segmentation.checkpoint
        write_atomically(folder / UNION, partial(write_volume, volume=segmentation.label_map))
        for sequence, label_map in segmentation.sequence_label_maps.items():
            path = folder / _SEQUENCES / f"{folder_name(sequence)}.nii.gz"
            write_atomically(path, partial(write_volume, volume=label_map))
        saved = {**params, "answered": time.time()}
        write_text_atomically(folder / _PARAMS, json.dumps(saved, indent=1))

    def studies(self) -> set[str]:
        """Ids of all studies with a prediction, whether or not the studies still exist."""
        return {unquote(p.name) for p in self._folder.glob("*") if not p.name.startswith(".")}

    def of_study(self, study: str) -> list[Prediction]:
        """Every checkpoint's prediction for a study, the newest first."""
        predictions = [
            Prediction(path.with_name(UNION), json.loads(path.read_text(encoding="utf-8")))
            for path in (self._folder / folder_name(study)).glob(f"*/{_PARAMS}")
        ]
        return sorted(predictions, key=lambda p: float(p.params["answered"]), reverse=True)

    def newest(self, study: str) -> Prediction | None:
        """The newest prediction for a study, or None."""
        return next(iter(self.of_study(study)), None)

    def mask(self, study: str, sequence: str = "") -> Path:
        """The file of the newest prediction: its union, or one sequence's own mask.

        Raises:
            UnknownNameError: there is no prediction, or it did not use the sequence.
        """
        prediction = self.newest(study)
        if prediction is None:
            raise UnknownNameError(
                f"study {study!r} has no prediction",
                expected="a study that was segmented",
                remedy=f"segment it first, with POST /infer/zeus?image={study}",
            )
        path, used = prediction.path, prediction.params["used"]
        if sequence in used:
            path = path.parent / _SEQUENCES / f"{folder_name(sequence)}.nii.gz"
        if sequence not in ("", *used) or not path.exists():
            raise UnknownNameError(
                f"the prediction for study {study!r} has no mask of sequence {sequence!r}",
                expected=", ".join(used),
                remedy=f"choose one of these, for example sequence={used[0]}",
            )
        return path

    def remove(self, study: str) -> None:
        """Move a study's predictions away, so that a new study of the same id has none."""
        folder = self._folder / folder_name(study)
        if folder.is_dir():
            folder.rename(folder.with_name(f".removed-{time.time_ns()}-{folder.name}"))
