"""Pictures of a study: the slice with most of the result, or an example click."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from zeus_app.api.prompting import Point
from zeus_app.reporting.pictures import (
    click_figure,
    png_bytes,
    slice_with_most_labels,
    study_figure,
)
from zeus_app.reporting.values import StudyPage
from zeus_app.studies.align import canonical
from zeus_app.studies.opened import OpenedStudy
from zeus_app.studies.slices import to_voxels
from zeus_app.types import MACHINE_MADE, FloatArray, LabelArray, Segmentation, Volume

_SMOOTH_MM = 4.0  # a spot of at least this size is looked for, not a single bright voxel
_RIM_MM = 12.0  # skin and skull are bright in many sequences


def preview_png(study: OpenedStudy, segmentation: Segmentation, labels: Mapping[str, int]) -> bytes:
    """A PNG: each sequence, its own mask, and the union, on the slice with most of the union.

    Args:
        study: the study, whose pictures are shown.
        segmentation: its result.
        labels: label name -> value.
    """
    union = _on_canonical(segmentation.label_map)
    index = slice_with_most_labels(union)
    index = union.shape[2] // 2 if index is None else index
    masks = {name: _on_canonical(mask) for name, mask in segmentation.sequence_label_maps.items()}
    page = StudyPage(
        study_id=study.id,
        spacing_mm=study.grid.spacing_mm,
        sequences=_slices(study, index),
        labels=labels,
        masks={name: mask[:, :, index : index + 1] for name, mask in masks.items()},
        union=union[:, :, index : index + 1],
    )
    figure = study_figure(page)
    volumes = ", ".join(f"{name} {ml:.1f} ml" for name, ml in segmentation.volumes_ml.items())
    figure.suptitle(
        f"{study.id}, axial slice {index + 1} of {union.shape[2]}: {volumes}\n"
        f"checkpoint {segmentation.checkpoint}; {MACHINE_MADE}",
        fontsize=9,
    )
    return png_bytes(figure)


@dataclass(frozen=True)
class ExampleClick:
    """A place for an example click.

    Attributes:
        sequence: where it was found: the study's reference.
        voxel: (i, j, k) of that sequence as stored.
        canonical: (i, j, k) on the study's canonical grid.
    """

    sequence: str
    voxel: tuple[int, int, int]
    canonical: tuple[int, int, int]


def brightest_spot(study: OpenedStudy) -> ExampleClick:
    """The brightest spot of the reference sequence, away from the rim of the tissue.

    It is no lesion finder: it shows only where a click could go.
    """
    m = study.stack.sequences.index(study.reference)
    frame = study.stack.frame
    px_per_mm = frame.cols_px / (frame.grid.shape[0] * frame.grid.spacing_mm[0])
    best, at = -1.0, (0, 0, 0)
    for s in np.flatnonzero(study.stack.tissue[m]):
        smooth = ndimage.gaussian_filter(study.stack.pixels[m, s], _SMOOTH_MM * px_per_mm)
        inner = _inner(study.stack.pixels[m, s], _RIM_MM * px_per_mm)
        smooth[~inner] = -1.0
        row, col = np.unravel_index(int(smooth.argmax()), smooth.shape)
        if smooth[row, col] > best:
            best, at = float(smooth[row, col]), (int(s), int(row), int(col))
    index, top, left = at
    x, y, _ = frame.grid.shape
    i = x - 0.5 - (left - frame.left_px + 0.5) * x / frame.cols_px
    j = y - 0.5 - (top - frame.top_px + 0.5) * y / frame.rows_px
    spot = _inside((float(i), float(j), index), frame.grid.shape)
    stored = study.source_grids[study.reference]
    moved = np.linalg.solve(stored.affine_ras, frame.grid.affine_ras @ [*spot, 1.0])[:3]
    return ExampleClick(study.reference, _inside(tuple(moved), stored.shape), spot)


def example_png(study: OpenedStudy, click: ExampleClick, mask: Volume) -> bytes:
    """A PNG of an example click: the slice with the click, and the mask that it gives."""
    i, j, index = click.canonical
    union = _on_canonical(mask)[:, :, index : index + 1]
    page = StudyPage(
        study_id=study.id,
        spacing_mm=study.grid.spacing_mm,
        sequences={click.sequence: _slices(study, index)[click.sequence]},
        labels={"what the click marks": int(union.max()) or 1},
        masks={click.sequence: union},
        union=union,
    )
    figure = click_figure(page, click.sequence, (i, j))
    figure.suptitle(
        f"{study.id}, axial slice {index + 1}: an EXAMPLE of one click, on the brightest spot\n"
        f"of {click.sequence}. No result: nobody chose this spot. {MACHINE_MADE}",
        fontsize=8,
    )
    return png_bytes(figure)


def _inner(picture: FloatArray, rim_px: float) -> LabelArray:
    """(256, 256) bool: pixels that lie farther than the rim from the background."""
    filled = ndimage.binary_fill_holes(picture > 0)
    inner: LabelArray = ndimage.distance_transform_edt(filled) > rim_px
    return inner if inner.any() else filled


def _slices(study: OpenedStudy, index: int) -> dict[str, FloatArray]:
    """Sequence -> (X, Y, 1): one slice of each sequence that the study has."""
    return {
        name: to_voxels(study.stack.pixels[m, index : index + 1], study.stack.frame)
        for m, name in enumerate(study.stack.sequences)
        if name in study.used
    }


def _on_canonical(volume: Volume) -> LabelArray:
    return canonical(volume).array.astype(np.uint8)


def _inside(point: Point, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The nearest voxel of a grid."""
    i, j, k = (int(np.clip(round(v), 0, n - 1)) for v, n in zip(point, shape, strict=True))
    return i, j, k
