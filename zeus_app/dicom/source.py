"""A DICOM series as a source of voxels."""

from dataclasses import dataclass, field
from pathlib import Path

import SimpleITK as sitk

from zeus_app.dicom.series import read_header
from zeus_app.dicom.stacking import stack_slices
from zeus_app.settings.file_names import check_utf8
from zeus_app.types import Grid, Volume
from zeus_app.volumes.nifti import read_guarded
from zeus_app.volumes.voxels import as_float, usable


@dataclass(frozen=True)
class DicomSeriesSource:
    """The files of one DICOM series of single-frame images, in any order.

    Attributes:
        paths: the files.
        known_grid: the grid, if the headers were read before; then they are not read again.
    """

    paths: tuple[Path, ...]
    known_grid: Grid | None = field(default=None, repr=False, compare=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the series."""
        return self.paths

    def grid(self) -> Grid:
        """The grid in the headers of all files."""
        return self.known_grid or stack_slices([read_header(path) for path in self.paths]).grid

    def load(self) -> Volume:
        """(columns, rows, slices) float32, slices in the order of their positions.

        Each slice has the Rescale Slope and Intercept of its own header. By itself, ITK would cast
        all slices to the type of the first.
        """
        for path in self.paths:
            check_utf8(path)
        folder = self.paths[0].parent
        stack = stack_slices([read_header(path) for path in self.paths])
        reader = sitk.ImageSeriesReader()
        reader.SetImageIO("GDCMImageIO")  # by itself, ITK goes by a file's content
        reader.SetOutputPixelType(sitk.sitkFloat32)
        reader.SetFileNames([str(path) for path in stack.paths])
        image = read_guarded(reader.Execute, folder)
        array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)  # (Z, Y, X) -> (X, Y, Z)
        return usable(Volume(as_float(array, folder), stack.grid.affine_ras), folder)
