"""Masks that clicks start from: an earlier answer, a label, an uploaded mask, scribbles."""

from functools import partial
from pathlib import Path

import numpy as np
from nibabel.affines import apply_affine

from zeus_app.errors import InputError
from zeus_app.labels.files import write_volume
from zeus_app.labels.versions import FINAL
from zeus_app.prompts.types import Clicks
from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_request import ClickRequest
from zeus_app.server.studies.catalogue import ResolvedImage
from zeus_app.storage.atomic import write_atomically
from zeus_app.studies.align import to_grid
from zeus_app.types import Grid, LabelArray, Volume
from zeus_app.volumes.sources import read_voxels

KINDS = ("prior", "scribbles")
SCRIBBLED_BESIDE, SCRIBBLED_ON = 2, 3
"""What MONAI Label's clients draw scribbles with: the background's value, the foreground's."""


def prior_of(ctx: ServerContext, clicked: ClickRequest, resolved: ResolvedImage) -> Volume | None:
    """The mask that a request starts from, with the target's values, on a grid of its own.

    Raises:
        InputError: it names one that is not there.
        BusyError, CancelledError: as an inference, where the model has to make it first.
    """
    if not clicked.prior:
        return None
    if clicked.prior == "text":
        with ctx.jobs.job(resolved.study) as report:
            study = ctx.open_study(resolved)
            answer = ctx.segmenter.segment(study, guidance=clicked.guidance, report=report)
            return answer.label_map
    if clicked.prior == "original":
        return read_voxels(ctx.datastore.originals.mask(resolved.study))
    if clicked.prior == "uploaded":
        return read_voxels(_uploaded(ctx, clicked.user, resolved.study, "prior"))
    newest = ctx.datastore.history.newest(resolved.study, FINAL)
    if newest is None:
        raise InputError(
            f"prior final of study {resolved.study!r}",
            expected="a study with a submitted label",
            remedy="submit one, or start from something else",
        )
    return read_voxels(newest.path)


def on_grid(label: Volume, grid: Grid) -> LabelArray:
    """A label map's values at the voxels of another grid."""
    values = Volume(np.rint(label.array).astype(np.uint8), label.affine_ras)
    return to_grid(values, grid, order=0, fill=0.0).array.astype(np.uint8)


def scribbles_of(
    ctx: ServerContext, clicked: ClickRequest, resolved: ResolvedImage, grid: Grid
) -> Clicks:
    """What the user scribbled, in voxels of a grid; nothing unless the request says it counts.

    Raises:
        InputError: there are none.
    """
    if not clicked.scribbles:
        return Clicks()
    drawn = read_voxels(_uploaded(ctx, clicked.user, resolved.study, "scribbles"))
    return scribbled(drawn, grid)


def scribbled(drawn: Volume, grid: Grid) -> Clicks:
    """Every voxel that was drawn on, as a click: none is lost between those of a coarser grid."""
    values = np.rint(drawn.array)
    on, beside = (
        tuple((float(i), float(j), float(k)) for i, j, k in np.argwhere(values == value))
        for value in (SCRIBBLED_ON, SCRIBBLED_BESIDE)
    )
    return Clicks(on, beside).on(grid, drawn.grid)


def keep_upload(
    ctx: ServerContext, user: str, resolved: ResolvedImage, kind: str, file: Path
) -> None:
    """Keep a user's scribbles, or a mask to start from, on any grid of the study.

    Raises:
        InputError: unreadable, or it does not lie where the study does.
    """
    volume = read_voxels(file)
    grid = ctx.datastore.catalogue.grid(resolved)
    label = Volume(np.rint(volume.array).astype(np.uint8), volume.affine_ras)
    if label.array.any() and not _reaches(label, grid):
        raise InputError(
            f"{kind} on {label.grid}",
            expected=f"marks that lie inside the study ({grid})",
            remedy="draw them on the downloaded image",
        )
    path = ctx.click_history.uploads_folder(user, resolved.study) / f"{kind}.nii.gz"
    write_atomically(path, partial(write_volume, volume=label))


def _reaches(label: Volume, grid: Grid) -> bool:
    """Whether a marked voxel has its centre in one of the grid's."""
    there = np.linalg.inv(grid.affine_ras) @ label.affine_ras
    voxels = apply_affine(there, np.argwhere(label.array))
    inside = (voxels > -0.5) & (voxels < np.array(grid.shape) - 0.5)
    return bool(inside.all(axis=1).any())


def _uploaded(ctx: ServerContext, user: str, study: str, kind: str) -> Path:
    path = ctx.click_history.uploads_folder(user, study) / f"{kind}.nii.gz"
    if not path.exists():
        raise InputError(
            f"{kind} of user {user!r} for study {study!r}",
            expected="an uploaded label volume",
            remedy=f"send it with PUT /zeus/clicks/{study}/{kind}",
        )
    return path
