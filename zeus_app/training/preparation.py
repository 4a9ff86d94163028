"""From labelled studies to cases: what a training, and only a training, does before it begins."""

import logging
from collections.abc import Iterable

from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.protocols import Model
from zeus_app.studies.align import align_for, to_grid
from zeus_app.studies.labels import label_pictures
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import Target
from zeus_app.training.cases import Case, make_case
from zeus_app.types import Guidance, LabelledStudy

logger = logging.getLogger(__name__)


def prepare_cases(
    studies: Iterable[LabelledStudy], *, model: Model, target: Target, report: Report
) -> tuple[dict[str, Case], dict[str, str]]:
    """Run the frozen towers over every study.

    Returns:
        The cases by study id, and the studies that cannot be learnt from with the reason: one bad
        file among hundreds does not end a training.
    """
    chosen = list(studies)
    cases: dict[str, Case] = {}
    left_out: dict[str, str] = {}
    for done, study in enumerate(chosen):
        report("preparing studies", done, len(chosen))
        try:
            cases[study.id] = _case(study, model, target, report)
        except InputError as error:
            logger.warning("%s is not learnt from: %s", study.id, error)
            left_out[study.id] = str(error)
    return cases, left_out


def _case(labelled: LabelledStudy, model: Model, target: Target, report: Report) -> Case:
    aligned = align_for(labelled.read_study(), target)
    stack = slice_stack(aligned, target.sequence_names)
    given = labelled.read_label()
    label = to_grid(given, aligned.grid, order=0, fill=0.0)
    if given.array.any() and not label.array.any():
        raise InputError(
            f"label of {labelled.id} ({given.grid}) marks nothing inside the study"
            f" ({aligned.grid})",
            expected="a label that lies where the study does",
            remedy="submit the label again on the grid of the downloaded image",
        )
    values = tuple(entry.value for entry in target.labels)
    masks = label_pictures(label, stack.frame, values)
    guidance = labelled.guidance if model.reads_text else Guidance()
    prepared = model.prepare(stack, guidance=guidance, report=report, keep_pixels=False)
    return make_case(labelled.id, prepared, masks)
