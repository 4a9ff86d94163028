"""The places of the frames of DICOM images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.dicom.mr_series import AXIAL, ORIENTATIONS, mr_source
from zeus_app.dicom.planes import Plane, planes_of, read_planes
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Grid


def grid_of(shape: tuple[int, int, int], *, spacing_mm: tuple[float, float, float]) -> Grid:
    return Grid(shape, LPS_TO_RAS @ np.diag([*spacing_mm, 1.0]))


def plane(
    position: tuple[float, ...],
    orientation: tuple[float, ...] = ORIENTATIONS["axial"],
    *,
    spacing_mm: tuple[float, float] = (1.0, 1.0),
) -> Plane:
    image = Dataset()
    image.Rows, image.Columns = 4, 5
    image.ImagePositionPatient, image.ImageOrientationPatient = list(position), list(orientation)
    image.PixelSpacing, image.SliceThickness = list(spacing_mm), 2
    return planes_of(image)[0]


def enhanced(*, shared: Dataset, frames: list[Dataset]) -> Dataset:
    image = Dataset()
    image.Rows, image.Columns, image.NumberOfFrames = 4, 5, len(frames)
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = frames
    return image


def group(**elements: object) -> Dataset:
    """A functional group with the macros of these elements."""
    macros = {"ImagePositionPatient": "PlanePositionSequence",
              "ImageOrientationPatient": "PlaneOrientationSequence"}  # fmt: skip
    groups = Dataset()
    for name, value in elements.items():
        item = Dataset()
        setattr(item, name, value)
        setattr(groups, macros.get(name, "PixelMeasuresSequence"), [item])
    return groups


def test_each_slice_of_a_series_lies_where_its_header_says(tmp_path: Path) -> None:
    plan = replace(AXIAL, orientation=ORIENTATIONS["oblique"])
    planes = read_planes(mr_source(tmp_path, plan))
    assert len(planes) == 9
    np.testing.assert_allclose(planes[2].position_lps, plan.position(2), atol=1e-5)
    assert planes[2].spacing_mm == (1.25, 0.75)


def test_the_second_column_lies_beside_the_first_along_the_row() -> None:
    affine = plane((10, 20, 30), ORIENTATIONS["sagittal"], spacing_mm=(3, 2)).pixel_affine_lps
    assert (affine @ [1, 0, 1]).tolist() == [10, 22, 30]
    assert (affine @ [0, 1, 1]).tolist() == [10, 20, 27]


def test_a_file_of_many_frames_has_shared_and_own_geometry() -> None:
    shared = group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[1, 2])
    frames = [group(ImagePositionPatient=[0, 0, z]) for z in (6, 3)]
    planes = planes_of(enhanced(shared=shared, frames=frames))
    assert [(p.frame, p.position_lps[2]) for p in planes] == [(1, 6), (2, 3)]
    assert planes[1].spacing_mm == (1.0, 2.0)


def test_the_geometry_of_the_frame_wins_over_the_shared_one() -> None:
    shared = group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[1, 1])
    own = group(ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    (only,) = planes_of(enhanced(shared=shared, frames=[own]))
    assert only.normal_lps.tolist() == [-1, 0, 0]


def test_only_the_chosen_frames_of_a_source_are_read(tmp_path: Path) -> None:
    shared = group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[1, 1])
    image = enhanced(shared=shared, frames=[group(ImagePositionPatient=[0, 0, z]) for z in (0, 3)])
    path = tmp_path / "enhanced.dcm"
    image.is_little_endian, image.is_implicit_VR = True, False
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = pydicom.uid.EnhancedMRImageStorage, "1.2.3"
    image.save_as(path, write_like_original=False)
    chosen = read_planes(DicomSeriesSource((path,), frames=((path, 1),)))
    assert [p.frame for p in chosen] == [2]


@pytest.mark.parametrize(
    "change",
    [
        {"ImagePositionPatient": None},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 5, 0]},
        {"PixelSpacing": [1, 0]},
        {"PixelSpacing": [1, float("nan")]},
    ],
)
def test_a_frame_without_a_usable_place_is_refused(change: dict[str, object]) -> None:
    image = plane((0, 0, 0)).image
    for name, value in change.items():
        setattr(image, name, value)
    with pytest.raises(InputError, match=f"without a usable {next(iter(change))}"):
        planes_of(image)


def test_a_file_that_is_gone_is_named_without_its_folder(tmp_path: Path) -> None:
    source = DicomSeriesSource((tmp_path / "Anna Schmidt" / "1.dcm",))
    with pytest.raises(InputError, match=r"^1\.dcm cannot be read as DICOM") as refused:
        read_planes(source)
    assert "Anna" not in str(refused.value)


def test_a_pixel_that_is_a_voxel_is_found() -> None:
    grid = grid_of((5, 4, 10), spacing_mm=(1, 1, 3))
    voxels = plane((0, 0, 6)).voxel_map(grid)
    assert voxels is not None
    assert (voxels @ [3, 1, 1]).tolist() == [3, 1, 2]


def test_a_plane_across_the_slices_of_a_grid_is_found() -> None:
    """A sagittal frame, rows downward, in an axial grid of cubes."""
    grid = grid_of((9, 9, 9), spacing_mm=(2, 2, 2))
    voxels = plane((4, 0, 16), ORIENTATIONS["sagittal"], spacing_mm=(2, 2)).voxel_map(grid)
    assert voxels is not None
    assert (voxels @ [3, 2, 1]).tolist() == [2, 3, 6]


@pytest.mark.parametrize(
    ("position", "spacing_mm"),
    [((0, 0, 1.5), (1, 1)), ((0.5, 0, 3), (1, 1)), ((0, 0, 3), (2, 2)), ((0, 0, 3), (1.1, 1.1))],
)
def test_a_plane_beside_the_voxels_has_no_map(
    position: tuple[float, ...], spacing_mm: tuple[float, float]
) -> None:
    grid = grid_of((5, 4, 10), spacing_mm=(1, 1, 3))
    assert plane(position, spacing_mm=spacing_mm).voxel_map(grid) is None


def test_a_plane_at_an_angle_has_no_map() -> None:
    grid = grid_of((5, 4, 10), spacing_mm=(1, 1, 3))
    assert plane((0, 0, 3), ORIENTATIONS["oblique"]).voxel_map(grid) is None
