"""Synthetic studies for timing: four sequences of a head with a tumour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

CONTRAST: Mapping[str, tuple[str, float]] = {
    "FLAIR": ("flair", 1.8),
    "T1Gd": ("t1ce", 1.5),
    "T1": ("t1", 0.7),
    "T2": ("t2", 1.6),
}
"""Sequence -> (end of the file name, brightness of the tumour relative to the brain)."""
BRAIN = np.float32(500)
COARSE = 12
"""Voxels per cell of the texture of the brain."""


@dataclass(frozen=True)
class SyntheticStudy:
    """A study on disk.

    Attributes:
        name: its id for the server.
        label: a NIfTI file with the tumour as 1.
        slices: axial indices that show tissue.
        centre: voxel in the middle of the tumour.
    """

    name: str
    label: Path
    slices: Sequence[int]
    centre: tuple[int, int, int]

    def touch(self) -> None:
        """Change the files' times, so that a server reads the study again."""
        for path in (self.label.parents[1] / "studies" / self.name).iterdir():
            path.touch()

    def click(self, number: int, *, slice_index: int | None = None) -> list[int]:
        """A voxel of the tumour; numbers 0 to 24 give different voxels."""
        i, j, k = self.centre
        across, along = divmod(number % 25, 5)
        return [i + across - 2, j + along - 2, k if slice_index is None else slice_index]


def make_study(
    folder: Path, name: str, *, shape: tuple[int, int, int], slices: int, seed: int
) -> SyntheticStudy:
    """Write a study as files of four sequences, and its label.

    Args:
        folder: gets studies/<name>/ and labels/<name>.nii.gz.
        name: of the study.
        shape: voxels; 1 mm in plane.
        slices: number of axial slices with tissue, in the middle. The others are empty.
        seed: studies of different seeds have no picture in common.
    """
    first = (shape[2] - slices) // 2
    with_tissue = range(first, first + slices)
    head, tumour, centre = _anatomy(shape, with_tissue)
    rng = np.random.default_rng(seed)
    affine = np.diag([1.0, 1.0, 155 / shape[2], 1.0])
    label = folder / "labels" / f"{name}.nii.gz"
    home = folder / "studies" / name
    for path in (label.parent, home):
        path.mkdir(parents=True, exist_ok=True)
    for ending, bright in CONTRAST.values():
        voxels = _texture(shape, rng) * np.where(tumour, np.float32(bright), 1) * head
        image = nib.Nifti1Image(voxels.astype(np.int16), affine)
        nib.save(image, home / f"{name}_{ending}.nii.gz")
    nib.save(nib.Nifti1Image(tumour.astype(np.uint8), affine), label)
    return SyntheticStudy(name, label, list(with_tissue), centre)


def _anatomy(
    shape: tuple[int, int, int], with_tissue: range
) -> tuple[Bools, Bools, tuple[int, int, int]]:
    """An ellipse of brain on the slices with tissue, and a cylinder of tumour through them."""
    x, y = (np.linspace(-1, 1, n) for n in shape[:2])
    in_plane = (x[:, None] / 0.75) ** 2 + (y[None, :] / 0.9) ** 2 <= 1
    head = np.zeros(shape, np.bool_)
    head[:, :, with_tissue.start : with_tissue.stop] = in_plane[:, :, None]
    centre = (int(0.6 * shape[0]), shape[1] // 2, (with_tissue.start + with_tissue.stop) // 2)
    lesion = (x[:, None] - x[centre[0]]) ** 2 + (y[None, :] - y[centre[1]]) ** 2 <= 0.2**2
    return head, head & lesion[:, :, None], centre


def _texture(shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    """Cells of brain in plane, with noise on every voxel. All values are above the background."""
    cells = tuple(n // COARSE + 1 for n in shape[:2])
    coarse = rng.random((*cells, shape[2]), np.float32)
    spread = coarse.repeat(COARSE, axis=0).repeat(COARSE, axis=1)[: shape[0], : shape[1]]
    noise = rng.random(shape, np.float32)
    return BRAIN * (0.7 + 0.4 * spread + 0.2 * noise)
