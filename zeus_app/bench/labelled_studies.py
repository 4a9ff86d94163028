"""The labelled studies that benchmarks train on and judge."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from zeus_app.labels.mask_files import ImportedLabel, find_masks, read_foreign_mask
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_study
from zeus_app.targets import Target
from zeus_app.types import LabelledStudy, Volume

PHANTOMS = CHECKOUT / "sample_data" / "phantoms"
T = TypeVar("T")


def labelled_studies(
    folder: Path, target: Target, *, skip: Collection[str] = ()
) -> list[LabelledStudy]:
    """The studies of a folder that have a mask beside them, sorted by id.

    Args:
        folder: the studies folder, with the masks.
        target: the labels to read.
        skip: ids of studies to leave out, such as those with a machine's mask.
    """
    labels = {
        mask.study_id: mask.volume
        for mask in find_masks(folder, target)
        if isinstance(mask, ImportedLabel) and mask.study_id not in skip
    }
    return with_labels(folder, target, labels)


def labelled_phantoms(target: Target, *, count: int) -> list[LabelledStudy]:
    """The first sample studies, with their exact labels."""
    paths = sorted((PHANTOMS / "labels").glob("*.nii.gz"))[:count]
    labels = {path.name.split(".")[0]: read_foreign_mask(path, target) for path in paths}
    return with_labels(PHANTOMS / "studies", target, labels)


def with_labels(folder: Path, target: Target, labels: Mapping[str, Volume]) -> list[LabelledStudy]:
    """The studies of a folder with these labels by id, each on the grid of the reference."""
    studies = find_studies(folder, target).studies
    return [
        LabelledStudy(
            id=study_id,
            read_study=partial(read_study, studies[study_id]),
            read_label=partial(_identity, label),
            read_grid=partial(_identity, label.grid),
            patient=studies[study_id].patient,
            sequences=tuple(studies[study_id].sources),
        )
        for study_id, label in sorted(labels.items())
    ]


def _identity(value: T) -> T:
    return value
