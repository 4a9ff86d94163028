"""The user's other segments: a new mask does not take their voxels, unless the request says so.

They are the segments of the label file that came with the request. Without a file, they are those
of the study's final label. Without the name of the clicked label nothing is kept: the OHIF that
comes with MONAI Label names none, and keeps its segments itself.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from zeus_app.labels.files import read_label
from zeus_app.labels.versions import FINAL
from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_request import ClickRequest
from zeus_app.server.interactive.initial_masks import on_grid
from zeus_app.server.interactive.sent_label import DrawnMasks
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.types import BoolArray, Grid, LabelArray, Volume


@dataclass(frozen=True, eq=False)
class KeptSegments:
    """Label maps on the grid of the answer, with the target's values; each may be None.

    Attributes:
        sent: the mask that the prompts refine, with the other labels that it holds.
        kept: the user's other segments.
    """

    sent: LabelArray | None = None
    kept: LabelArray | None = None


def kept_segments(
    ctx: ServerContext,
    request: ClickRequest,
    resolved: ResolvedImage,
    masks: DrawnMasks,
    grid: Grid,
) -> KeptSegments:
    """The segments that the answer to a request must not touch.

    Args:
        ctx: of the server.
        request: the request.
        resolved: the image that the client shows.
        masks: the masks that the request refers to.
        grid: of the answer.

    Raises:
        InputError: the study's final label cannot be read.
    """
    if request.overwrite or not request.names_label:
        return KeptSegments()
    initial = None if masks.initial is None else on_grid(masks.initial, grid)
    if request.label_file is not None:
        others = None if masks.others is None else on_grid(masks.others, grid)
        return KeptSegments(initial, others)
    return KeptSegments(initial, _final_label(ctx, resolved, grid))


def keep_segments(
    answer: Volume, segments: KeptSegments, *, new: Collection[int], shown: Collection[int]
) -> Volume:
    """Give the user's other segments back what a new mask took.

    Args:
        answer: the new mask, with the target's values.
        segments: on the answer's grid.
        new: values of the labels whose mask is new. Only these lose voxels.
        shown: values of kept labels that the answer shows, besides what it shows already.

    Returns:
        The answer, uint8. A new voxel where the mask to refine had another label has that label
        again. A new voxel in another kept segment is 0, or that segment's value if it is in
        `shown`.
    """
    mask = answer.array.astype(np.uint8, copy=False)
    if segments.sent is not None:
        others = _without(segments.sent, new)
        mask = np.where(_taken(mask, others, new), others, mask)
    if segments.kept is not None:
        others = _without(segments.kept, new)
        mask = np.where(_taken(mask, others, new), np.uint8(0), mask)
        mask = np.where((mask == 0) & np.isin(others, [*shown]), others, mask)
    return Volume(mask, answer.affine_ras)


def _taken(mask: LabelArray, others: LabelArray, new: Collection[int]) -> BoolArray:
    """(X, Y, Z) bool: the voxels of new masks in other segments."""
    taken: BoolArray = np.isin(mask, [*new]) & (others > 0)
    return taken


def _without(label_map: LabelArray, values: Collection[int]) -> LabelArray:
    others: LabelArray = np.where(np.isin(label_map, [*values]), 0, label_map).astype(np.uint8)
    return others


def _final_label(ctx: ServerContext, resolved: ResolvedImage, grid: Grid) -> LabelArray | None:
    if resolved.is_temporary:
        return None
    newest = ctx.datastore.history.newest(resolved.study, FINAL)
    if newest is None:
        return None
    return _read_on(newest.path, grid.shape, grid.affine_ras.tobytes())


@lru_cache(maxsize=2)  # clicks come one after another on the same study, and no version changes
def _read_on(path: Path, shape: tuple[int, int, int], affine: bytes) -> LabelArray:
    matrix = np.frombuffer(affine, np.float64).reshape(4, 4)
    label_map = on_grid(read_label(path), Grid(shape, matrix))
    label_map.setflags(write=False)
    return label_map
