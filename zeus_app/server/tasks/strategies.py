"""Active learning strategies: which study to label next."""

import random
import time
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from zeus_app.server.studies.datastore import StudyDatastore


class RandomUnlabelled(Strategy):
    """A random study without a label; the longer ago it was chosen, the likelier.

    MONAI Label's own strategy fails if all candidates were chosen within the last second.
    """

    def __init__(self) -> None:
        super().__init__("A random study without a label")

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


def _last_chosen_s(datastore: StudyDatastore, study: str) -> int:
    """Seconds since 1970; 0 if the study was never chosen."""
    chosen = datastore.strategy_history(study).get("random")
    ts = chosen.get("ts") if isinstance(chosen, dict) else None
    return ts if isinstance(ts, int) else 0
