"""Active learning strategies: which study to label next."""

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from zeus_app.labels.drafts import DRAFT
from zeus_app.server.studies.datastore import StudyDatastore

SEQUENCE = "sequence"
"""Parameter of a strategy: the sequence that the client opens, instead of the reference."""
REFERENCE = "reference"
"""The value of `sequence` for the study's reference volume."""


class _Unlabelled(Strategy):
    """A strategy with the option `sequence`, which 3D Slicer shows and sends."""

    def __init__(self, description: str, sequences: Sequence[str] = ()) -> None:
        super().__init__(description)
        self._sequences = sequences

    def info(self) -> dict[str, Any]:
        """The description, and the options; Slicer sends the first value of a list by default."""
        return {
            "description": self.description,
            "config": {SEQUENCE: [REFERENCE, *self._sequences]},
        }


class FirstUnlabelled(_Unlabelled):
    """The first study without a label, by name."""

    def __init__(self, sequences: Sequence[str] = ()) -> None:
        super().__init__("The first study without a final label", sequences)

    def __call__(
        self, request: Mapping[str, Any], datastore: StudyDatastore
    ) -> dict[str, Any] | None:
        """Return {"id": study}, or None if all studies are labelled."""
        studies = datastore.get_unlabeled_images(request.get("label_tag"))
        return {"id": min(studies)} if studies else None


class RandomUnlabelled(_Unlabelled):
    """A random study without a label; the longer ago it was chosen, the likelier.

    MONAI Label's own strategy fails if all candidates were chosen within the last second.
    """

    def __init__(self, sequences: Sequence[str] = ()) -> None:
        super().__init__("A random study without a final label", sequences)

    def __call__(
        self, request: Mapping[str, Any], datastore: StudyDatastore
    ) -> dict[str, Any] | None:
        """Return {"id": study}, or None if all studies are labelled."""
        studies = datastore.get_unlabeled_images(request.get("label_tag"))
        if not studies:
            return None
        now_s = int(time.time())
        weights = [max(1, now_s - _last_chosen_s(datastore, study)) for study in studies]
        return {"id": random.choices(studies, weights=weights)[0]}


class WithDraft(_Unlabelled):
    """The study whose draft is the oldest."""

    def __init__(self, sequences: Sequence[str] = ()) -> None:
        super().__init__("The study with the oldest draft, to go on with it", sequences)

    def __call__(
        self, request: Mapping[str, Any], datastore: StudyDatastore
    ) -> dict[str, Any] | None:
        """Return {"id": study}, or None if there is no draft."""
        drafts = datastore.get_labeled_images(DRAFT)
        saved_s = {study: datastore.get_label_info(study, DRAFT)["ts"] for study in drafts}
        return {"id": min(drafts, key=lambda study: (saved_s[study], study))} if drafts else None


def _last_chosen_s(datastore: StudyDatastore, study: str) -> int:
    """Seconds since 1970; 0 if the study was never chosen."""
    chosen = datastore.strategy_history(study).get("random")
    ts = chosen.get("ts") if isinstance(chosen, dict) else None
    return ts if isinstance(ts, int) else 0
