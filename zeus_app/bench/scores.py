"""Scores of a case at 256×256 px: DSC, IoU, lesion-wise F1 and surface distance of each label."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, cast

import numpy as np

from zeus_app.errors import InputError
from zeus_app.metrics import dice, hd95_mm, iou, lesion_f1
from zeus_app.pipeline.zeus import PreparedStudy
from zeus_app.studies.align import canonical
from zeus_app.studies.slices import make_frame
from zeus_app.training.cases import Case
from zeus_app.types import BoolArray, LabelArray, LabelledStudy

Spacing = tuple[float, float, float]


def score(
    label_map: LabelArray, case: Case, labels: Sequence[str], spacing_mm: Spacing
) -> dict[str, Any]:
    """Compare a label map with a case's masks.

    Args:
        label_map: (S, 256, 256), k + 1 for the label of channel k.
        case: the study with its masks.
        labels: the K labels' names.
        spacing_mm: distance of slices, rows and columns.

    Returns:
        "dsc", "iou" and "lesion_f1", label -> score in [0, 1]; "hd95_mm", label -> mm, or None if
        one of the masks is empty. A label that neither shows has no scores, as in
        `Evaluator.volume_dsc`. "background" has "dsc" and "iou" of what is no label.
    """
    truths = case.masks(range(len(label_map))).numpy()
    dsc, ious, lesions, distances = {}, {}, {}, {}
    for k, label in enumerate(labels):
        pred, truth = label_map == k + 1, truths[:, k]
        if not pred.any() and not truth.any():
            continue
        dsc[label], ious[label] = dice(pred, truth), iou(pred, truth)
        lesions[label] = lesion_f1(pred, truth)
        distances[label] = hd95_mm(pred, truth, spacing_mm)
    return {
        "dsc": dsc,
        "iou": ious,
        "lesion_f1": lesions,
        "hd95_mm": distances,
        "background": _background(label_map == 0, ~truths.any(axis=1)),
    }


def _background(pred: BoolArray, truth: BoolArray) -> dict[str, float]:
    return {"dsc": dice(pred, truth), "iou": iou(pred, truth)}


def mean_dsc(scores: Mapping[str, Any]) -> float:
    """Mean DSC over the labels of one case; 1 if neither label nor prediction shows anything."""
    return mean_over_labels(scores, "dsc")


def mean_over_labels(scores: Mapping[str, Any], name: str, *, background: bool = False) -> float:
    """Mean of "dsc" or "iou" over the labels of one case that label or prediction shows.

    Args:
        scores: of `score`.
        name: "dsc" or "iou".
        background: let the background count as one more label. It is easy and large.

    Returns:
        The mean in [0, 1]; 1 without any label.
    """
    values = list(scores[name].values())
    values += [scores["background"][name]] if background else []
    return float(np.mean(values)) if values else 1.0


def picture_spacing_mm(study: LabelledStudy) -> Spacing:
    """Distance of the slices, rows and columns of a study's pictures."""
    grid = canonical(study.read_label()).grid
    frame = make_frame(grid)
    pixel_mm = grid.shape[0] * grid.spacing_mm[0] / frame.cols_px
    return grid.spacing_mm[2], pixel_mm, pixel_mm


def subsets(sequences: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every subset of the sequences but none and all, the smallest first."""
    for size in range(1, len(sequences)):
        yield from combinations(sequences, size)


def with_sequences(case: Case, sequences: Sequence[str], chosen: Sequence[str]) -> Case:
    """The case as if its study had the chosen sequences only.

    Raises:
        InputError: the model does not tell the sequences apart, so that none can be left out.
    """
    prepared = cast(PreparedStudy, case.prepared)
    if prepared.present.shape[1] != len(sequences):
        raise InputError(
            "subsets of the sequences for a model that does not tell them apart",
            expected="a prepared study that says for each sequence where it shows tissue",
            remedy="leave every_subset out of this part of the suite",
        )
    columns = np.array([name in chosen for name in sequences])
    return replace(case, prepared=replace(prepared, present=prepared.present & columns))
