"""How well Zeus's own answers fit what the user made of them."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.scoring import ScoringMethod

from zeus_app.labels.files import read_label
from zeus_app.labels.predictions import Prediction
from zeus_app.labels.versions import FINAL
from zeus_app.metrics import dice, iou, miou, miou_with_background
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.studies.align import to_grid
from zeus_app.targets import Target
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints

logger = logging.getLogger(__name__)


class DiceScoring(ScoringMethod):
    """DSC and mIoU of original against final, for studies the checkpoint never learnt from."""

    def __init__(self, target: Target, checkpoints: Checkpoints) -> None:
        super().__init__("DSC and mIoU of Zeus's answers against the final labels")
        self._labels = target.label_values
        self._checkpoints = checkpoints

    def __call__(self, request: Mapping[str, Any], datastore: StudyDatastore) -> dict[str, Any]:
        """Score Zeus's newest fair answer to every labelled study, and note it beside the label.

        Returns:
            studies: study -> its scores; left_out: study -> why; mean_dice over the studies.
        """
        scores: dict[str, dict[str, Any]] = {}
        left_out: dict[str, str] = {}
        for study in datastore.get_labeled_images():
            answers = datastore.predictions.answers(study)
            reasons = [self._why_not(study, answer, datastore) for answer in answers]
            if "" not in reasons:
                left_out[study] = reasons[0] if reasons else "Zeus has not answered to it"
                continue
            scores[study] = self._score(study, answers[reasons.index("")], datastore)
            datastore.update_label_info(study, FINAL, {"score": scores[study]})
        mean = float(np.mean([one["dice"] for one in scores.values()])) if scores else None
        logger.info("scored %d studies, mean DSC %s, left out %s", len(scores), mean, left_out)
        return {"studies": scores, "left_out": left_out, "mean_dice": mean}

    def _why_not(self, study: str, original: Prediction, datastore: StudyDatastore) -> str:
        """Why an answer says nothing of how well Zeus does; empty when it is fair."""
        if original.checkpoint == UNTRAINED:
            return ""
        known = {info.version: info for info in self._checkpoints.versions()}
        if original.checkpoint not in known:
            return f"checkpoint {original.checkpoint} is gone: what it learnt from is unknown"
        learnt = known[original.checkpoint].studies
        if study in learnt:
            return f"checkpoint {original.checkpoint} learnt from it"
        files = datastore.catalogue.studies
        patients = {files[one].patient for one in learnt if one in files}
        if files[study].patient in patients:
            return f"checkpoint {original.checkpoint} learnt from another study of its patient"
        return ""

    def _score(self, study: str, original: Prediction, datastore: StudyDatastore) -> dict[str, Any]:
        truth = datastore.final_label(study)
        answer = to_grid(read_label(original.path), truth.grid, order=0, fill=0).array
        by_label = {
            name: {
                "dice": dice(answer == value, truth.array == value),
                "iou": iou(answer == value, truth.array == value),
            }
            for name, value in self._labels.items()
        }
        values = tuple(self._labels.values())
        return {
            "checkpoint": original.checkpoint,
            "dice": float(np.mean([one["dice"] for one in by_label.values()])),
            "miou": miou(answer, truth.array, values),
            "miou_with_background": miou_with_background(answer, truth.array, values),
            "labels": by_label,
        }
