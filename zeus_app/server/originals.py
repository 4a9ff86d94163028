"""Zeus's own answers, kept with the checkpoint that made them, for scoring and for review."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zeus_app.errors import UnknownNameError
from zeus_app.files import write_atomically, write_text_atomically
from zeus_app.server.label_files import write_volume
from zeus_app.server.label_history import folder_name
from zeus_app.types import Segmentation


@dataclass(frozen=True)
class Original:
    """One of Zeus's answers.

    Attributes:
        path: the union's .nii.gz, on the source grid of the reference sequence.
        params: what went to the client beside the mask; `checkpoint` among it.
    """

    path: Path
    params: Mapping[str, Any]

    @property
    def checkpoint(self) -> str:
        """The version that answered, or "untrained"."""
        return str(self.params["checkpoint"])


class Originals:
    """The newest answer to each study: <study>.nii.gz, <study>.json, <study>/<sequence>.nii.gz."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, segmentation: Segmentation, params: Mapping[str, Any]) -> None:
        """Replace the answer to a study.

        The JSON goes first and comes last: a mask is never taken for another checkpoint's.
        """
        name = folder_name(segmentation.study_id)
        note = self._folder / f"{name}.json"
        note.unlink(missing_ok=True)
        masks = {f"{name}.nii.gz": segmentation.label_map}
        for sequence, label_map in segmentation.sequence_label_maps.items():
            masks[f"{name}/{folder_name(sequence)}.nii.gz"] = label_map
        for place, mask in masks.items():
            write_atomically(self._folder / place, partial(write_volume, volume=mask))
        write_text_atomically(note, json.dumps(params, indent=1))

    def find(self, study: str) -> Original | None:
        """The newest answer to a study, if there is one."""
        note = self._folder / f"{folder_name(study)}.json"
        path = note.with_name(f"{folder_name(study)}.nii.gz")
        if not note.exists() or not path.exists():
            return None
        return Original(path, json.loads(note.read_text(encoding="utf-8")))

    def mask(self, study: str, sequence: str = "") -> Path:
        """The file of the union, or of one sequence's own branch.

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
            path = self._folder / folder_name(study) / f"{folder_name(sequence)}.nii.gz"
        if sequence not in ("", *original.params["used"]) or not path.exists():
            raise UnknownNameError(
                f"the answer to study {study!r} has no mask of sequence {sequence!r}",
                expected=", ".join(original.params["used"]),
                remedy="choose one of these",
            )
        return path
