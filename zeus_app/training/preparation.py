"""From labelled studies to cases, through the frozen towers."""

import logging
import shutil
from collections.abc import Collection, Iterable

from zeus_app.errors import InputError
from zeus_app.labels.pictures import label_pictures
from zeus_app.progress import Report
from zeus_app.studies.align import align_for, axial_slices, to_grid
from zeus_app.studies.slices import slice_stack
from zeus_app.training.cases import Case, make_case
from zeus_app.training.setup import TrainingSetup
from zeus_app.types import GIB, Guidance, LabelledStudy

SPARE_BYTES = GIB
"""Disk space that a training leaves free."""

logger = logging.getLogger(__name__)


def prepare_cases(
    setup: TrainingSetup, studies: Iterable[LabelledStudy], *, report: Report
) -> tuple[dict[str, Case], dict[str, str]]:
    """Run the frozen towers over every study.

    A study that cannot be used is skipped, so that one bad file does not end a training.

    Args:
        setup: the model and the target.
        studies: labelled studies.
        report: called before each study.

    Returns:
        study id -> case, and study id -> reason why it was skipped.
    """
    chosen = list(studies)
    cases: dict[str, Case] = {}
    skipped: dict[str, str] = {}
    for done, study in enumerate(chosen):
        report("preparing studies", done, len(chosen))
        try:
            cases[study.id] = _case(setup, study, report)
        except InputError as error:
            logger.warning("training skips study %s: %s", study.id, error)
            skipped[study.id] = str(error)
    return cases, skipped


def check_space(setup: TrainingSetup, studies: Iterable[LabelledStudy]) -> None:
    """Refuse a training whose embeddings do not fit, before hours of encoding.

    The estimate is an upper bound: it counts every slice of every present sequence as tissue.

    Args:
        setup: the model, the target's sequences, and the cache. A missing cache folder is made.
        studies: studies to encode.

    Raises:
        InputError: the embeddings need more than the cache limit or the free disk.
    """
    sequences, folder = setup.target.sequence_names, setup.cache_folder
    needed = setup.model.cache_bytes(sum(_pictures(study, sequences) for study in studies))
    folder.mkdir(parents=True, exist_ok=True)
    cached = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free + cached - SPARE_BYTES
    limit = min(setup.cache_limit_gib * GIB, free)
    if needed > limit:
        raise InputError(
            f"training needs up to {needed / GIB:.1f} GiB of image embeddings",
            expected=f"at most {limit / GIB:.1f} GiB"
            f" (cache_gib {setup.cache_limit_gib:g}, free disk {free / GIB:.1f})",
            remedy=f"start the server with --conf cache_gib {needed / GIB + 1:.0f}, free disk"
            " space, or name studies in exclude",
        )


def _pictures(study: LabelledStudy, sequences: Collection[str]) -> int:
    """Most pictures that a study can have; 0 if its grid cannot be read, as it is then skipped."""
    try:
        slices = axial_slices(study.read_grid())
    except InputError:
        return 0
    return slices * len(set(study.sequences) & set(sequences))


def _case(setup: TrainingSetup, study: LabelledStudy, report: Report) -> Case:
    model, target = setup.model, setup.target
    aligned = align_for(study.read_study(), target)
    stack = slice_stack(aligned, target.sequence_names)
    stored = study.read_label()
    label = to_grid(stored, aligned.grid, order=0, fill=0.0)
    if stored.array.any() and not label.array.any():
        raise InputError(
            f"label of {study.id} ({stored.grid}) marks nothing inside the study ({aligned.grid})",
            expected="a label that overlaps the study",
            remedy="submit the label again on the grid of the downloaded image",
        )
    if not stack.tissue.any():
        raise InputError(
            f"study {study.id}, in which no slice shows tissue",
            expected="at least one axial slice with something above the background",
            remedy="check that the volumes are not empty",
        )
    masks = label_pictures(label, stack.frame, tuple(target.label_values.values()))
    guidance = study.guidance if model.reads_text else Guidance()
    prepared = model.prepare(stack, guidance=guidance, report=report, keep_pixels=False)
    return make_case(study.id, prepared, masks)
