"""Masks that prompts start from: a prediction, a submitted label, an uploaded mask, scribbles."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.labels.files import write_volume
from zeus_app.labels.grids import describe_grid, same_place
from zeus_app.labels.versions import FINAL
from zeus_app.prompts.types import Scribbles, move_points
from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_request import ClickRequest
from zeus_app.server.studies.catalogue import ResolvedImage
from zeus_app.storage.atomic import write_atomically
from zeus_app.studies.align import to_grid
from zeus_app.types import Grid, LabelArray, Volume
from zeus_app.volumes.sources import read_voxels
from zeus_app.volumes.uploads import check_upload, header_grid

SCRIBBLE_BACKGROUND, SCRIBBLE_FOREGROUND = 2, 3
"""Values of scribbles in a label volume, as MONAI Label's clients draw them."""
MAX_SCRIBBLED_VOXELS = 1_000_000
UPLOADS = {"scribbles": "scribbles", "initial_mask": "prior", "prior": "prior"}
"""Kind of upload -> name of its file. `prior` is the deprecated name of `initial_mask`."""


@dataclass(frozen=True)
class DrawnMasks:
    """The label volumes that a request refers to, each on a grid of its own.

    Attributes:
        initial: the mask to refine, with the target's values; or None.
        scribbles: with the values SCRIBBLE_BACKGROUND and SCRIBBLE_FOREGROUND; or None.
    """

    initial: Volume | None = None
    scribbles: Volume | None = None


def load_masks(ctx: ServerContext, request: ClickRequest, resolved: ResolvedImage) -> DrawnMasks:
    """Load the masks that a request refers to. The source "text" runs an inference.

    Raises:
        InputError: there is no such mask.
        BusyError, CancelledError: from the inference.
    """
    return DrawnMasks(
        initial=_initial_mask(ctx, request, resolved) if request.initial_mask else None,
        scribbles=(
            read_voxels(_uploaded(ctx, request.user, resolved.study, "scribbles"))
            if request.use_scribbles
            else None
        ),
    )


def _initial_mask(ctx: ServerContext, request: ClickRequest, resolved: ResolvedImage) -> Volume:
    if request.initial_mask == "text":
        with ctx.jobs.job(resolved.study) as report:
            study = ctx.open_study(resolved)
            answer = ctx.segmenter.segment(study, guidance=request.guidance, report=report)
            return answer.label_map
    if request.initial_mask == "original":
        return read_voxels(ctx.datastore.predictions.mask(resolved.study))
    if request.initial_mask == "uploaded":
        return read_voxels(_uploaded(ctx, request.user, resolved.study, "initial_mask"))
    newest = ctx.datastore.history.newest(resolved.study, FINAL)
    if newest is None:
        raise InputError(
            f"initial_mask final of study {resolved.study!r}",
            expected="a study with a submitted label",
            remedy="submit a label first, or send for example initial_mask: original",
        )
    return read_voxels(newest.path)


def on_grid(label: Volume, grid: Grid) -> LabelArray:
    """A label map's values at the voxels of another grid."""
    values = Volume(np.rint(label.array).astype(np.uint8), label.affine_ras)
    return to_grid(values, grid, order=0, fill=0.0).array.astype(np.uint8)


def scribbles_on(grid: Grid, drawn: Volume) -> Scribbles:
    """Every drawn voxel as a point of another grid; none is lost on a coarser grid."""
    values = np.rint(drawn.array)
    return Scribbles(
        move_points(np.argwhere(values == SCRIBBLE_FOREGROUND), grid, drawn.grid),
        move_points(np.argwhere(values == SCRIBBLE_BACKGROUND), grid, drawn.grid),
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
        InputError: the file is unreadable, lies outside the study, or has too many marks.
    """
    check_upload(file, max_voxels=ctx.config.max_voxels)
    grid = ctx.datastore.catalogue.grid(resolved)
    if kind == "scribbles":
        _check_scribbles_grid(ctx, resolved, header_grid(file))
    volume = read_voxels(file)
    label = Volume(np.rint(volume.array).astype(np.uint8), volume.affine_ras)
    marks = int(np.count_nonzero(label.array))
    if kind == "scribbles" and marks > MAX_SCRIBBLED_VOXELS:
        raise InputError(
            f"scribbles of {marks} voxels",
            expected=f"at most {MAX_SCRIBBLED_VOXELS}",
            remedy=f"draw thin lines, or send the mask with PUT"
            f" /zeus/clicks/{resolved.study}/initial_mask",
        )
    if marks and not _marks_inside(label, grid):
        raise InputError(
            f"{kind} on {label.grid}",
            expected=f"marks that lie inside the study ({grid})",
            remedy="draw them on the image that GET /datastore/image sends",
        )
    path = _upload_path(ctx, user, resolved.study, kind)
    write_atomically(path, partial(write_volume, volume=label))


def _check_scribbles_grid(ctx: ServerContext, resolved: ResolvedImage, drawn: Grid) -> None:
    """Refuse scribbles that lie on the grid of no sequence of their study."""
    catalogue = ctx.datastore.catalogue
    grids = [catalogue.grid(replace(resolved, sequence=name)) for name in resolved.files.sources]
    if not any(same_place(drawn, grid) for grid in grids):
        raise InputError(
            f"scribbles on another grid than the study's images: {describe_grid(drawn)}",
            expected=" or ".join(describe_grid(grid) for grid in grids),
            remedy="draw them on the image that GET /datastore/image sends",
        )


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
