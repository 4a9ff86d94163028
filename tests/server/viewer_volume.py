"""The volume that OHIF makes of a series, worked out here from metadata as Cornerstone does it.

Cornerstone's sortImageIdsAndGetSpacing sorts slices by their distance along the cross product of
the row and the column direction. Voxel (i, j, k) is then column i, row j, slice k.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import requests

from tests.server.running import Server
from zeus_app.types import Affine

POSITION, ORIENTATION, SPACING = "00200032", "00200037", "00280030"
ROWS, COLUMNS = "00280010", "00280011"
NRRD = {
    "result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False,
    "restore_label_idx": False,
}  # fmt: skip
"""What OHIF sends with each inference."""


@dataclass(frozen=True)
class ViewerVolume:
    """The geometry of OHIF's volume.

    Attributes:
        shape: columns, rows, slices.
        affine_lps: (i, j, k) -> LPS mm.
    """

    shape: tuple[int, int, int]
    affine_lps: Affine

    @property
    def centres_lps(self) -> npt.NDArray[np.float64]:
        """(columns, rows, slices, 3): the centre of each voxel."""
        voxels = np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), axis=-1)
        return np.asarray(voxels @ self.affine_lps[:3, :3].T + self.affine_lps[:3, 3])

    def index(self, points_lps: npt.NDArray[np.float64]) -> npt.NDArray[np.int_]:
        """(..., 3) LPS mm -> the voxels whose centres are nearest."""
        inverse = np.linalg.inv(self.affine_lps)
        return np.asarray(np.round(points_lps @ inverse[:3, :3].T + inverse[:3, 3]), int)


def volume_of(metadata: Sequence[Mapping[str, Any]]) -> ViewerVolume:
    """OHIF's volume of the images of a series."""

    def values(item: Mapping[str, Any], tag: str) -> npt.NDArray[np.float64]:
        return np.array(item[tag]["Value"], np.float64)

    first = metadata[0]
    row, column = values(first, ORIENTATION).reshape(2, 3)
    normal = np.cross(row, column)
    positions = sorted(
        (values(item, POSITION) for item in metadata), key=lambda position: float(position @ normal)
    )
    distance_mm = float((positions[-1] - positions[0]) @ normal)
    between_rows, between_columns = values(first, SPACING)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * between_columns, column * between_rows
    affine[:3, 2] = normal * distance_mm / (len(positions) - 1)
    affine[:3, 3] = positions[0]
    shape = int(first[COLUMNS]["Value"][0]), int(first[ROWS]["Value"][0]), len(positions)
    return ViewerVolume(shape, affine)


def opened(server: Server, study: str, series: str) -> ViewerVolume:
    """A series as OHIF opens it."""
    path = f"/proxy/dicom/wado/studies/{study}/series/{series}/metadata"
    return volume_of(requests.get(server.url + path, timeout=60).json())


def voxels_of(nrrd: bytes, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """The voxels of an answer as OHIF reads them: plain bytes, i fastest, whatever the header says.

    Returns:
        (columns, rows, slices).
    """
    header, voxels = nrrd.split(b"\n\n", 1)
    assert b"encoding: raw" in header
    return np.frombuffer(voxels, np.uint8).reshape(shape[::-1]).transpose(2, 1, 0)
