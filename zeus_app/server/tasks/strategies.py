"""Which study to label next."""

import random
import time
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from zeus_app.server.studies.datastore import StudyDatastore


class RandomUnlabelled(Strategy):
    """A random study without a final label, the longest unseen the likeliest.

    MONAI Label's own fails when all candidates were served within the last second.
    """

    def __init__(self) -> None:
        super().__init__("A random study without a label")

    def __call__(
        self, request: Mapping[str, Any], datastore: StudyDatastore
    ) -> dict[str, Any] | None:
        """The chosen study's id; None when all are labelled."""
        studies = datastore.get_unlabeled_images(request.get("label_tag"))
        if not studies:
            return None
        now = int(time.time())
        weights = [max(1, now - _last_served(datastore, study)) for study in studies]
        return {"id": random.choices(studies, weights=weights)[0]}


def _last_served(datastore: StudyDatastore, study: str) -> int:
    served = datastore.get_image_info(study).get("strategy", {}).get("random", {})
    return int(served.get("ts", 0))
