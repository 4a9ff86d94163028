"""From labelled studies to cases: what a training, and only a training, does before it begins."""

import logging
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.labels.grids import label_pictures
from zeus_app.progress import Report
from zeus_app.protocols import Model
from zeus_app.studies.align import align_for, axial_slices, to_grid
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import Target
from zeus_app.training.cases import Case, make_case
from zeus_app.types import Guidance, LabelledStudy

GIB = 1 << 30
SPARE_BYTES = GIB
"""Disk space that training leaves free for everybody else."""

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


def check_space(
    studies: Sequence[LabelledStudy],
    *,
    model: Model,
    wanted: Collection[str],
    folder: Path,
    limit_gib: float,
) -> None:
    """Refuse before hours of encoding what could not be kept to the end.

    The bound is generous: every slice of every wanted sequence that is there counts as tissue.

    Args:
        studies: to be encoded.
        model: knows what a slice takes.
        wanted: the target's sequences.
        folder: of the kept embeddings; made if it is not there.
        limit_gib: what may be kept in it.

    Raises:
        InputError: they do not fit; says how much room there is.
    """
    needed = model.bytes_to_keep(sum(_pictures(study, wanted) for study in studies))
    folder.mkdir(parents=True, exist_ok=True)
    kept = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free + kept - SPARE_BYTES
    limit = min(limit_gib * GIB, free)
    if needed > limit:
        raise InputError(
            f"training needs up to {needed / GIB:.1f} GiB of image embeddings",
            expected=f"at most {limit / GIB:.1f} GiB"
            f" (cache_gib {limit_gib:g}, free disk {free / GIB:.1f})",
            remedy="raise cache_gib, free disk space, or leave studies out with exclude",
        )


def _pictures(study: LabelledStudy, wanted: Collection[str]) -> int:
    """Most pictures that a study can have; none where its grid cannot be read: it is left out."""
    try:
        slices = axial_slices(study.read_grid())
    except InputError:
        return 0
    return slices * len(set(study.sequences) & set(wanted))


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
    if not stack.tissue.any():
        raise InputError(
            f"study {labelled.id}, in which no slice shows tissue",
            expected="at least one axial slice with something above the background",
            remedy="check that the volumes are not empty",
        )
    values = tuple(entry.value for entry in target.labels)
    masks = label_pictures(label, stack.frame, values)
    guidance = labelled.guidance if model.reads_text else Guidance()
    prepared = model.prepare(stack, guidance=guidance, report=report, keep_pixels=False)
    return make_case(labelled.id, prepared, masks)
