"""Scores of Zeus's predictions against the final labels."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.scoring import ScoringMethod

from zeus_app.labels.files import read_label
from zeus_app.labels.predictions import Prediction
from zeus_app.labels.versions import FINAL
from zeus_app.metrics import LabelMap, dice, iou, miou, miou_with_background
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.studies.align import to_grid
from zeus_app.targets import Target
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints

logger = logging.getLogger(__name__)


class DiceScoring(ScoringMethod):
    """DSC and mIoU of predictions, for studies that their checkpoint was not trained on."""

    def __init__(self, target: Target, checkpoints: Checkpoints) -> None:
        super().__init__("DSC and mIoU of Zeus's predictions against the final labels")
        self._labels, self._groups = target.label_values, target.groups
        self._checkpoints = checkpoints

    def __call__(self, request: Mapping[str, Any], datastore: StudyDatastore) -> dict[str, Any]:
        """Score each labelled study's newest prediction that is fair, and store it with the label.

        A prediction is fair if its checkpoint was not trained on a study of the same patient.

        Returns:
            "studies": study -> its scores, with those of "labels" and of "groups", the unions of
            some labels; "left_out": skipped study -> the reason; "mean_dice": mean DSC over the
            scored studies, None if there are none.
        """
        scores: dict[str, dict[str, Any]] = {}
        skipped: dict[str, str] = {}
        for study in datastore.get_labeled_images():
            predictions = datastore.predictions.of_study(study)
            reasons = [self._unfair(study, prediction, datastore) for prediction in predictions]
            if "" not in reasons:
                skipped[study] = reasons[0] if reasons else "it has no prediction"
                continue
            scores[study] = self._score(study, predictions[reasons.index("")], datastore)
            datastore.history.update_info(study, FINAL, {"score": scores[study]})
        mean = float(np.mean([score["dice"] for score in scores.values()])) if scores else None
        logger.info("scored %d studies, mean DSC %s, skipped %s", len(scores), mean, skipped)
        return {"studies": scores, "left_out": skipped, "mean_dice": mean}

    def _unfair(self, study: str, prediction: Prediction, datastore: StudyDatastore) -> str:
        """The reason why a prediction is not fair; empty if it is fair."""
        version = prediction.checkpoint
        if version == UNTRAINED:
            return ""
        checkpoints = {info.version: info for info in self._checkpoints.versions()}
        if version not in checkpoints:
            return f"checkpoint {version} is gone: its training studies are unknown"
        training_studies = checkpoints[version].studies
        if study in training_studies:
            return f"checkpoint {version} was trained on it"
        files = datastore.catalogue.studies
        patients = {files[name].patient for name in training_studies if name in files}
        if files[study].patient in patients:
            return f"checkpoint {version} was trained on another study of its patient"
        return ""

    def _score(
        self, study: str, prediction: Prediction, datastore: StudyDatastore
    ) -> dict[str, Any]:
        truth = datastore.final_label(study)
        mask = to_grid(read_label(prediction.path), truth.grid, order=0, fill=0).array
        by_label = {
            name: _overlap(mask, truth.array, [value]) for name, value in self._labels.items()
        }
        by_group = {
            name: _overlap(mask, truth.array, [self._labels[label] for label in labels])
            for name, labels in self._groups.items()
        }
        values = tuple(self._labels.values())
        return {
            "checkpoint": prediction.checkpoint,
            "dice": float(np.mean([score["dice"] for score in by_label.values()])),
            "miou": miou(mask, truth.array, values),
            "miou_with_background": miou_with_background(mask, truth.array, values),
            "labels": by_label,
            "groups": by_group,
        }


def _overlap(mask: LabelMap, truth: LabelMap, values: Sequence[int]) -> dict[str, float]:
    """DSC and IoU of the voxels with one of these values."""
    pair = np.isin(mask, values), np.isin(truth, values)
    return {"dice": dice(*pair), "iou": iou(*pair)}
