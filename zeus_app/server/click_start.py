"""Masks that clicks start from: an earlier answer, a label, an uploaded mask, scribbles."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from zeus_app.clicks.pointing import BESIDE, ON
from zeus_app.errors import InputError
from zeus_app.files import write_atomically
from zeus_app.server.catalogue import Asked
from zeus_app.server.click_request import ClickRequest
from zeus_app.server.label_files import write_volume
from zeus_app.server.label_history import FINAL
from zeus_app.server.workplace import Workplace
from zeus_app.studies.align import to_grid
from zeus_app.studies.sources import read_voxels
from zeus_app.types import BoolArray, Grid, LabelArray, Volume

KINDS = ("prior", "scribbles")
SCRIBBLED_BESIDE, SCRIBBLED_ON = 2, 3
"""What MONAI Label's clients draw scribbles with: the background's value, the foreground's."""


@dataclass(frozen=True, eq=False)
class Start:
    """Masks on the canonical grid of a study.

    Attributes:
        prior: uint8 with the target's values, or None.
        scribbles: uint8 with ON and BESIDE, or None.
    """

    prior: LabelArray | None = None
    scribbles: LabelArray | None = None

    @property
    def any(self) -> bool:
        """Whether there is something to start from."""
        return self.prior is not None or self.scribbles is not None

    def prior_of(self, value: int) -> BoolArray | None:
        """The prior of one label."""
        return None if self.prior is None else self.prior == value


def masks_to_start_from(place: Workplace, clicked: ClickRequest, asked: Asked, grid: Grid) -> Start:
    """What a request starts from, brought onto the canonical grid.

    Raises:
        InputError: it names a mask that is not there.
    """
    prior = scribbles = None
    if clicked.prior:
        prior = _on(_prior(place, clicked, asked), grid)
    if clicked.scribbles:
        drawn = _on(read_voxels(_uploaded(place, clicked.user, asked.study, "scribbles")), grid)
        scribbles = np.zeros_like(drawn)
        scribbles[drawn == SCRIBBLED_ON] = ON
        scribbles[drawn == SCRIBBLED_BESIDE] = BESIDE
    return Start(prior, scribbles)


def keep_upload(place: Workplace, user: str, asked: Asked, kind: str, file: Path) -> None:
    """Keep a user's scribbles, or a mask to start from, on any grid of the study.

    Raises:
        InputError: unreadable, or it does not lie where the study does.
    """
    volume = read_voxels(file)
    grid = place.datastore.catalogue.grid(asked)
    label = Volume(np.rint(volume.array).astype(np.uint8), volume.affine_ras)
    if label.array.any() and not to_grid(label, grid, order=0, fill=0.0).array.any():
        raise InputError(
            f"{kind} on {label.grid}",
            expected=f"marks that lie inside the study ({grid})",
            remedy="draw them on the downloaded image",
        )
    path = place.click_history.place(user, asked.study) / f"{kind}.nii.gz"
    write_atomically(path, partial(write_volume, volume=label))


def _prior(place: Workplace, clicked: ClickRequest, asked: Asked) -> Volume:
    if clicked.prior == "text":
        study = place.datastore.catalogue.read(asked)
        return place.segmenter.segment(study, guidance=clicked.guidance).label_map
    if clicked.prior == "original":
        return read_voxels(place.datastore.originals.mask(asked.study))
    if clicked.prior == "uploaded":
        return read_voxels(_uploaded(place, clicked.user, asked.study, "prior"))
    newest = place.datastore.history.newest(asked.study, FINAL)
    if newest is None:
        raise InputError(
            f"prior final of study {asked.study!r}",
            expected="a study with a submitted label",
            remedy="submit one, or start from something else",
        )
    return read_voxels(newest.path)


def _uploaded(place: Workplace, user: str, study: str, kind: str) -> Path:
    path = place.click_history.place(user, study) / f"{kind}.nii.gz"
    if not path.exists():
        raise InputError(
            f"{kind} of user {user!r} for study {study!r}",
            expected="an uploaded label volume",
            remedy=f"send it with PUT /zeus/clicks/{study}/{kind}",
        )
    return path


def _on(volume: Volume, grid: Grid) -> LabelArray:
    label = Volume(np.rint(volume.array).astype(np.uint8), volume.affine_ras)
    return to_grid(label, grid, order=0, fill=0.0).array.astype(np.uint8)
