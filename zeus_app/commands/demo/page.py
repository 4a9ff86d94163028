"""What the demo's report shows, collected from the answers of the server."""

from collections.abc import Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np

from zeus_app.metrics import dice
from zeus_app.reporting.values import CurvePoint, LabelScores, RunPage, StudyPage
from zeus_app.server.lifecycle.server_process import Answer
from zeus_app.studies.align import align, canonical
from zeus_app.targets import Target
from zeus_app.types import Instruction, LabelArray, Study, Volume


def study_page(
    study: Study,
    target: Target,
    *,
    truth: Volume,
    before: Answer,
    after: Answer,
    sequence_masks: Mapping[str, Volume],
) -> StudyPage:
    """One held-back study.

    Args:
        study: the study, as read from its files.
        target: the target that was segmented.
        truth: the true label map.
        before: the answer before the training.
        after: the answer after it.
        sequence_masks: sequence -> label map of its branch, after the training.

    Returns:
        The page, with all arrays on the reference's canonical grid.
    """
    aligned = align(study, target.reference_of(tuple(study.volumes)))
    scores = {
        label.name: LabelScores(
            before=_label_dice(before.mask, truth, label.value),
            after=_label_dice(after.mask, truth, label.value),
            sequences={
                name: _label_dice(mask, truth, label.value) for name, mask in sequence_masks.items()
            },
        )
        for label in target.labels
    }
    return StudyPage(
        study_id=study.id,
        spacing_mm=aligned.grid.spacing_mm,
        sequences={n: volume.array.astype(np.float32) for n, volume in aligned.volumes.items()},
        labels=target.label_values,
        masks={name: _canonical_labels(mask) for name, mask in sequence_masks.items()},
        union=_canonical_labels(after.mask),
        truth=_canonical_labels(truth),
        scores=scores,
        instructions=tuple(
            Instruction(i["sequence"], i["label"], i["slice"], i["text"], i["model"])
            for i in after.params["instructions"]
        ),
        role="held back from training",
        notes=tuple(after.params["notes"]),
    )


def _canonical_labels(volume: Volume) -> LabelArray:
    """(X, Y, Z) label map, RAS-canonical, uint8."""
    return canonical(volume).array.astype(np.uint8)


def _label_dice(mask: Volume, truth: Volume, value: int) -> float:
    return dice(mask.array == value, truth.array == value)


def run_page(
    pages: Sequence[StudyPage],
    checkpoint: Mapping[str, Any],
    conf: Mapping[str, str],
    times: Mapping[str, str],
) -> RunPage:
    """The whole report.

    Args:
        pages: the held-back studies.
        checkpoint: description of the trained checkpoint.
        conf: settings of the server.
        times: step -> its duration, as shown.
    """
    recipe = checkpoint["settings"]
    return RunPage(
        title="Zeus demo: phantoms",
        summary=(
            f"A MONAI Label server segmented {len(pages)} held-back phantoms, was trained on "
            f"{len(checkpoint['studies'])} labelled ones, and segmented them again."
        ),
        studies=tuple(pages),
        curve=tuple(
            CurvePoint(epoch["number"], epoch["loss"], epoch["score"])
            for epoch in checkpoint["epochs"]
        ),
        settings={
            "target": conf["target"],
            "profile": conf["profile"],
            "model and fusion": "zeus, hybrid",
            "checkpoint": f"{checkpoint['version']}, {checkpoint['note']}",
            "seed": str(recipe["seed"]),
            "batch": f"{recipe['batch_slices']} slices",
            "epochs": str(len(checkpoint["epochs"])),
            "nibabel": nib.__version__,
        },
        times=times,
        commands=("make demo",),
    )
