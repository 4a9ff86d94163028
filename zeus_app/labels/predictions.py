"""Zeus's own answers, kept with the checkpoint that made them, for scoring and for review."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zeus_app.errors import UnknownNameError
from zeus_app.labels.files import write_volume
from zeus_app.labels.versions import folder_name
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.types import Segmentation

_NOTE, _UNION, _SEQUENCES = "answer.json", "union.nii.gz", "sequences"


@dataclass(frozen=True)
class Prediction:
    """One of Zeus's answers.

    Attributes:
        path: the union's .nii.gz, on the source grid of the reference sequence.
        params: what went to the client beside the mask, `checkpoint` among it, and `answered`,
            seconds since 1970.
    """

    path: Path
    params: Mapping[str, Any]

    @property
    def checkpoint(self) -> str:
        """The version that answered, or "untrained"."""
        return str(self.params["checkpoint"])


class Predictions:
    """The newest answer of each checkpoint to each study.

    <study>/<checkpoint>/ holds answer.json, union.nii.gz and sequences/<sequence>.nii.gz. Files in
    the layout of before, one answer a study, are not looked at.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, segmentation: Segmentation, params: Mapping[str, Any]) -> None:
        """Replace what the same checkpoint answered to the study before; the JSON comes last."""
        home = self._folder / folder_name(segmentation.study_id) / segmentation.checkpoint
        write_atomically(home / _UNION, partial(write_volume, volume=segmentation.label_map))
        for sequence, label_map in segmentation.sequence_label_maps.items():
            place = home / _SEQUENCES / f"{folder_name(sequence)}.nii.gz"
            write_atomically(place, partial(write_volume, volume=label_map))
        kept = {**params, "answered": time.time()}
        write_text_atomically(home / _NOTE, json.dumps(kept, indent=1))

    def answers(self, study: str) -> list[Prediction]:
        """Every checkpoint's answer to a study, the newest first."""
        notes = (self._folder / folder_name(study)).glob(f"*/{_NOTE}")
        found = [
            Prediction(note.with_name(_UNION), json.loads(note.read_text(encoding="utf-8")))
            for note in notes
        ]
        return sorted(found, key=lambda one: float(one.params["answered"]), reverse=True)

    def find(self, study: str) -> Prediction | None:
        """The newest answer to a study, if there is one."""
        return next(iter(self.answers(study)), None)

    def mask(self, study: str, sequence: str = "") -> Path:
        """The file of the newest answer's union, or of one sequence's own branch.

        Raises:
            UnknownNameError: the study was not inferred, or its answer did not use the sequence.
        """
        original = self.find(study)
        if original is None:
            raise UnknownNameError(
                f"Zeus has not answered to study {study!r}",
                expected="a study that was inferred",
                remedy="run POST /infer first",
            )
        path = original.path
        if sequence:
            path = path.parent / _SEQUENCES / f"{folder_name(sequence)}.nii.gz"
        if sequence not in ("", *original.params["used"]) or not path.exists():
            raise UnknownNameError(
                f"the answer to study {study!r} has no mask of sequence {sequence!r}",
                expected=", ".join(original.params["used"]),
                remedy="choose one of these",
            )
        return path

    def remove(self, study: str) -> None:
        """Put the answers to a study aside, so that they count for no other of the same id."""
        home = self._folder / folder_name(study)
        if home.is_dir():
            home.rename(home.with_name(f".removed-{time.time_ns()}-{home.name}"))
