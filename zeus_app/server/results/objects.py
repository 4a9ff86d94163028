"""Make the DICOM objects of a mask: the SEG, and the SR with texts and measurements."""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from zeus_app.dicom.codes import long_string
from zeus_app.dicom.report.measurements import measure_labels
from zeus_app.dicom.report.texts import person_name
from zeus_app.dicom.report.writing import write_report
from zeus_app.dicom.segmentation.writing import write_segmentation
from zeus_app.errors import InputError
from zeus_app.labels.files import read_label
from zeus_app.labels.grids import in_order_of, same_place
from zeus_app.labels.versions import ORIGINAL
from zeus_app.server.results.masks import MaskVersion
from zeus_app.server.studies.local_series import is_series, local_series
from zeus_app.studies.align import to_grid
from zeus_app.targets import Target
from zeus_app.types import MACHINE_MADE, Grid, StudyFiles, Volume, VolumeSource

_MOST_CHARACTERS = 24
"""Of a version in a Series Description, which has at most 64, so that the warning stays whole."""


@dataclass(frozen=True, eq=False)
class MaskObjects:
    """The objects of a mask.

    Attributes:
        segmentation: the SEG.
        report: the SR.
        notes: what was changed or left out, for users.
    """

    segmentation: Dataset
    report: Dataset
    notes: tuple[str, ...]


def make_objects(
    mask: MaskVersion, files: StudyFiles, target: Target, *, keep_empty_frames: bool = False
) -> MaskObjects:
    """Make the SEG and the SR of a mask. Nothing is written to disk.

    Args:
        mask: the mask.
        files: its study, with the images that the mask was made from.
        target: the labels.
        keep_empty_frames: see `write_segmentation`.

    Raises:
        InputError: the study is no DICOM, or its files or the mask cannot be used.
    """
    refuse_other_files(files, tag=mask.tag)
    label_map = _read_labels(mask.path)
    name, source, resampled = _series_of_mask(files, label_map.grid, mask.drawn_on, target)
    notes = [f"the mask was resampled onto the grid of {name}"] if resampled else []
    with ExitStack() as downloads:
        series = downloads.enter_context(local_series(source))
        others = _others(files, source, mask.sequences)
        grid = series.grid()
        label_map = _on_grid(label_map, grid)
        segmentation = write_segmentation(
            label_map,
            target=target,
            reference=series,
            authorship=replace(mask.authorship, creator=_creator(mask)),
            others=[downloads.enter_context(local_series(other)) for other in others],
            keep_empty_frames=keep_empty_frames,
        )
        before = None if mask.before is None else _on_grid(_read_labels(mask.before), grid)
        measurements = measure_labels(label_map, series, target.label_values, before=before)
    segmentation.SeriesDescription = long_string(f"Zeus {_version(mask)}: {target.instance}")
    report = write_report(
        measurements,
        segmentation=segmentation,
        instructions=mask.instructions,
        user=mask.authorship.creator,
    )
    report.SeriesDescription = f"Zeus {_version(mask)}, {MACHINE_MADE}"
    return MaskObjects(segmentation, report, tuple(notes))


def refuse_other_files(files: StudyFiles, *, tag: str) -> None:
    """Refuse a study that is no DICOM. Raises InputError."""
    if files.study_uid and files.series:
        return
    raise InputError(
        f"study {files.id!r}, whose files are no DICOM",
        expected="a DICOM study: SEG and SR refer to its images",
        remedy="download the mask as NIfTI, with GET"
        f" /datastore/label?label={files.id}&tag={tag or 'final'}",
    )


def _series_of_mask(
    files: StudyFiles, grid: Grid, drawn_on: str, target: Target
) -> tuple[str, VolumeSource, bool]:
    """The DICOM series that a mask lies on: its name, its source, and whether none has the grid.

    Then it is the reference sequence, or else the first series.
    """
    series = {name: source for name, source in files.sources.items() if is_series(source)}
    present = tuple(name for name in target.sequence_names if name in series)
    reference = target.reference_of(present) if present else ""
    series |= {uid: source for uid, source in files.series.items() if uid not in series}
    first = [name for name in (drawn_on, reference) if name in series]
    names = list(dict.fromkeys((*first, *series)))
    for name in names:
        if _has_grid(series[name], grid):
            return name, series[name], False
    name = reference or names[0]
    return name, series[name], True


def _has_grid(source: VolumeSource, grid: Grid) -> bool:
    """Whether a series has a grid. A series that cannot be read has none."""
    try:
        return same_place(grid, source.grid())
    except InputError:
        return False


def _others(
    files: StudyFiles, reference: VolumeSource, sequences: Collection[str]
) -> list[VolumeSource]:
    """The other DICOM series that a mask was made from."""
    return [
        source
        for name, source in files.sources.items()
        if name in sequences and source != reference and is_series(source)
    ]


def _read_labels(path: Path) -> Volume:
    label = read_label(path)
    return Volume(label.array.astype(np.uint8), label.affine_ras)


def _on_grid(label_map: Volume, grid: Grid) -> Volume:
    """A label map on a grid, in the storage order of the grid."""
    ordered = in_order_of(label_map, grid)
    if not ordered.grid.matches(grid):
        ordered = to_grid(label_map, grid, order=0, fill=0)
    return Volume(ordered.array.astype(np.uint8), grid.affine_ras)


def _version(mask: MaskVersion) -> str:
    """The mask in a few words, so that a viewer's list tells one version from another."""
    words = f"{'prediction' if mask.tag == ORIGINAL else mask.tag} {mask.version}"
    return long_string(words)[:_MOST_CHARACTERS]


def _creator(mask: MaskVersion) -> str:
    return person_name(mask.authorship.creator) if mask.authorship.creator else ""
