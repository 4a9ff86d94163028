"""A DICOM series as a source of voxels."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zeus_app.dicom.pixels import stored_pixels
from zeus_app.dicom.series import SliceHeader, guarded, read_elements, read_headers
from zeus_app.dicom.stacking import SliceStacking, stack_slices
from zeus_app.errors import InputError
from zeus_app.settings.file_names import check_utf8
from zeus_app.types import FloatArray, Grid, Volume
from zeus_app.volumes.voxels import usable


@dataclass(frozen=True)
class DicomSeriesSource:
    """The files of one DICOM series, in any order: single images, or enhanced MR of many frames.

    Attributes:
        paths: the files.
        known_grid: the grid, if the headers were read before; then they are not read again.
        frames: (file, number of the frame) of each slice of the volume, where the files hold
            frames of other volumes too; empty if all frames belong to it.
    """

    paths: tuple[Path, ...]
    known_grid: Grid | None = field(default=None, repr=False, compare=False)
    frames: tuple[tuple[Path, int], ...] = field(default=(), repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the series."""
        return self.paths

    def grid(self) -> Grid:
        """The grid in the headers of all files."""
        return self.known_grid or self._stacking().grid

    def load(self) -> Volume:
        """(columns, rows, slices) float32, slices in the order of their positions.

        Each slice has the Rescale Slope and Intercept of its own header or frame.
        """
        for path in self.paths:
            check_utf8(path)
        stacking = self._stacking()
        folder = self.paths[0].parent
        array = _voxels(stacking)
        return usable(Volume(array.transpose(2, 1, 0), stacking.grid.affine_ras), folder)

    def _stacking(self) -> SliceStacking:
        headers = [header for path in self.paths for header in read_headers(path)]
        if self.frames:
            chosen = set(self.frames)
            headers = [header for header in headers if (header.path, header.frame) in chosen]
        if not headers:
            raise InputError(
                f"{self.paths[0]}, which no longer holds the frames that it held",
                expected="files that do not change while they are read",
                remedy="send the request again",
            )
        return stack_slices(headers)


def _voxels(stacking: SliceStacking) -> FloatArray:
    """The values of all pixels, (slices, rows, columns) float32."""
    columns, rows, slices = stacking.grid.shape
    array = guarded(
        lambda: np.empty((slices, rows, columns), np.float32),
        stacking.headers[0].path.parent,
        damage="its headers state more pixels than memory holds",
    )
    images: dict[Path, list[tuple[int, SliceHeader]]] = defaultdict(list)
    for index, header in enumerate(stacking.headers):
        images[header.path].append((index, header))
    for path, placed in images.items():
        _read_into(array, path, placed)
    return array


def _read_into(array: FloatArray, path: Path, placed: Sequence[tuple[int, SliceHeader]]) -> None:
    """Read the slices that lie in one file.

    Args:
        array: (slices, rows, columns) float32. The values are written here.
        path: the file.
        placed: index in `array`, and the header, of each slice.
    """

    def read() -> None:
        pixels = stored_pixels(read_elements(path), path)
        for index, header in placed:
            stored = pixels[header.frame or 0].astype(np.float64)
            with np.errstate(over="ignore"):  # overflow gives infinity, which `usable` refuses
                array[index] = stored * header.slope + header.intercept

    guarded(read, path, damage="its pixels are damaged")
