"""Masks that prompts start from: a prediction, a submitted label, an uploaded mask, scribbles."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.labels.files import read_label, write_volume
from zeus_app.labels.grids import check_values
from zeus_app.labels.segments import with_target_values
from zeus_app.labels.values import listed
from zeus_app.labels.versions import FINAL
from zeus_app.prompts.types import Scribbles, move_points
from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_request import ClickRequest
from zeus_app.server.interactive.sent_label import (
    SCRIBBLE_BACKGROUND,
    SCRIBBLE_FOREGROUND,
    DrawnMasks,
    check_count,
    check_drawn_grid,
    read_drawn,
    read_sent_label,
)
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.storage.atomic import write_atomically
from zeus_app.studies.align import to_grid
from zeus_app.targets import Target
from zeus_app.types import Grid, Guidance, LabelArray, Volume
from zeus_app.volumes.uploads import check_upload, header_grid

UPLOADS = {"scribbles": "scribbles", "initial_mask": "prior", "prior": "prior"}
"""Kind of upload -> name of its file. `prior` is the deprecated name of `initial_mask`."""


def load_masks(ctx: ServerContext, request: ClickRequest, resolved: ResolvedImage) -> DrawnMasks:
    """Load the masks that a request refers to. The source "text" runs an inference.

    A label file that came with the request counts before uploaded scribbles. A mask that the
    request names counts before the one in that file.

    Raises:
        InputError: there is no such mask, or the label file cannot be used.
        BusyError, CancelledError: from the inference.
    """
    drawn = DrawnMasks()
    if request.label_file is not None:
        drawn = read_sent_label(
            request.label_file,
            target=ctx.target,
            label=request.label,
            label_info=request.label_info,
            grids=_grids(ctx, resolved),
            max_voxels=ctx.config.max_voxels,
        )
    if request.use_scribbles and drawn.scribbles is None:
        path = _uploaded(ctx, request.user, resolved.study, "scribbles")
        drawn = replace(drawn, scribbles=read_label(path))
    if request.initial_mask:
        drawn = replace(drawn, initial=_initial_mask(ctx, request, resolved))
    return drawn


def _initial_mask(ctx: ServerContext, request: ClickRequest, resolved: ResolvedImage) -> Volume:
    if request.initial_mask == "text":
        with ctx.jobs.job(resolved.study) as report:
            study = ctx.open_study(resolved, request.sequences)
            answer = ctx.segmenter.segment(study, guidance=request.guidance, report=report)
            return _of_texts(answer.label_map, request.guidance, ctx.target)
    if request.initial_mask == "original":
        return read_label(ctx.datastore.predictions.mask(resolved.study))
    if request.initial_mask == "uploaded":
        return read_label(_uploaded(ctx, request.user, resolved.study, "initial_mask"))
    newest = ctx.datastore.history.newest(resolved.study, FINAL)
    if newest is None:
        raise InputError(
            f"initial_mask final of study {resolved.study!r}",
            expected="a study with a submitted label",
            remedy="submit a label first, or send for example initial_mask: original",
        )
    return read_label(newest.path)


def _of_texts(label_map: Volume, guidance: Guidance, target: Target) -> Volume:
    """The labels that the user's texts are for; all labels if there are no texts."""
    names = {label for _, label in guidance.texts} or set(target.label_names)
    values = [value for name, value in target.label_values.items() if name in names]
    is_meant = np.isin(label_map.array, values)
    return Volume(np.where(is_meant, label_map.array, 0), label_map.affine_ras)


def on_grid(label: Volume, grid: Grid) -> LabelArray:
    """A label map's values at the voxels of another grid."""
    values = Volume(label.array.astype(np.uint8), label.affine_ras)
    return to_grid(values, grid, order=0, fill=0.0).array.astype(np.uint8)


def scribbles_on(grid: Grid, drawn: Volume) -> Scribbles:
    """Every drawn voxel as a point of another grid; none is lost on a coarser grid."""
    return Scribbles(
        move_points(np.argwhere(drawn.array == SCRIBBLE_FOREGROUND), grid, drawn.grid),
        move_points(np.argwhere(drawn.array == SCRIBBLE_BACKGROUND), grid, drawn.grid),
    )


def save_upload(
    ctx: ServerContext, user: str, resolved: ResolvedImage, kind: str, file: Path
) -> None:
    """Save a user's scribbles or initial mask.

    Args:
        ctx: of the server.
        user: whose upload it is.
        resolved: an image of the study.
        kind: a key of UPLOADS.
        file: the uploaded label volume. Scribbles lie on the grid of a sequence of the study; an
            initial mask may lie on any grid.

    Raises:
        InputError: the file is unreadable, lies outside the study, has too many marks, or has
            values without a meaning.
    """
    check_upload(file, max_voxels=ctx.config.max_voxels)
    grid = ctx.datastore.catalogue.grid(resolved)
    if kind == "scribbles":
        check_drawn_grid(header_grid(file), _grids(ctx, resolved))
    volume = read_drawn(file)
    if kind == "scribbles":
        label = _checked_scribbles(volume)
    else:
        label = _checked_mask(volume, file, ctx.target)
    if label.array.any() and not _marks_inside(label, grid):
        raise InputError(
            f"{kind} on {label.grid}",
            expected=f"marks that lie inside the study ({grid})",
            remedy="draw them on the image that GET /datastore/image sends",
        )
    path = _upload_path(ctx, user, resolved.study, kind)
    write_atomically(path, partial(write_volume, volume=label))


def _checked_scribbles(drawn: Volume) -> Volume:
    """Scribbles as uint8. Other values than theirs are refused, unless scribbles lie beside them.

    3D Slicer exports scribbles together with the segments that were there before.
    """
    is_scribble = np.isin(drawn.array, (SCRIBBLE_BACKGROUND, SCRIBBLE_FOREGROUND))
    if not is_scribble.any() and drawn.array.any():
        raise InputError(
            f"scribbles with the values {listed(drawn.array[drawn.array != 0])}",
            expected=f"{SCRIBBLE_BACKGROUND} outside the label, {SCRIBBLE_FOREGROUND} on it",
            remedy="draw them with these values, or send a mask with PUT"
            " /zeus/clicks/{study}/initial_mask",
        )
    scribbles = Volume(np.where(is_scribble, drawn.array, 0).astype(np.uint8), drawn.affine_ras)
    check_count(scribbles)
    return scribbles


def _checked_mask(drawn: Volume, file: Path, target: Target) -> Volume:
    """An initial mask as uint8, with the target's values."""
    mask = with_target_values(drawn, file, target=target, label_info=None)
    check_values(mask, tuple(target.label_values.values()))
    return Volume(mask.array.astype(np.uint8), mask.affine_ras)


def _grids(ctx: ServerContext, resolved: ResolvedImage) -> dict[str, Grid]:
    """Name -> grid, of the image that the client sees and of every sequence that can be read."""
    catalogue, grids = ctx.datastore.catalogue, dict[str, Grid]()
    for name in (*resolved.files.sources, resolved.shown):
        with suppress(InputError):
            grids[name] = catalogue.grid(resolved.showing(name))
    return grids


def _marks_inside(label: Volume, grid: Grid) -> bool:
    """Whether the centre of a marked voxel lies inside a grid."""
    voxels = move_points(np.argwhere(label.array), grid, label.grid)
    inside = (voxels > -0.5) & (voxels < np.array(grid.shape) - 0.5)
    return bool(inside.all(axis=1).any())


def _uploaded(ctx: ServerContext, user: str, study: str, kind: str) -> Path:
    path = _upload_path(ctx, user, study, kind)
    if not path.exists():
        raise InputError(
            f"{kind} of user {user!r} for study {study!r}, which was not uploaded",
            expected="an uploaded label volume",
            remedy=f"send the file with PUT /zeus/clicks/{study}/{kind}",
        )
    return path


def _upload_path(ctx: ServerContext, user: str, study: str, kind: str) -> Path:
    return ctx.click_history.uploads_folder(user, study) / f"{UPLOADS[kind]}.nii.gz"
