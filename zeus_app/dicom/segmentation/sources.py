"""The images that a DICOM SEG was made from: their planes, and the references to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import MRImageStorage

from zeus_app.dicom.planes import Plane, Vector
from zeus_app.errors import InputError
from zeus_app.types import Grid

_PARALLEL = 0.999
"""Least cosine of the angle between two planes that show the same slice: 2.6 degrees."""
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID",
         "FrameOfReferenceUID")  # fmt: skip


def planes_of_grid(planes: Iterable[Plane], grid: Grid) -> tuple[Plane, ...]:
    """The plane of each slice of a grid, in the order of the slices.

    Raises:
        InputError: a slice has no plane, or its image has no UIDs.
    """
    by_slice: dict[int, Plane] = {}
    for plane in planes:
        voxels = plane.voxel_map(grid)
        has_shape = (plane.image.Columns, plane.image.Rows) == grid.shape[:2]
        if has_shape and voxels is not None and (voxels[:, :2] == np.eye(3)[:, :2]).all():
            by_slice.setdefault(int(voxels[2, 2]), plane)
    missing = [z for z in range(grid.shape[2]) if z not in by_slice]
    if missing:
        raise InputError(
            f"DICOM files without {len(missing)} of the {grid.shape[2]} slices of the mask",
            expected=f"the series with the grid of the mask: {grid}",
            remedy="send the image id of a DICOM series of this study, or send output=image",
        )
    ordered = tuple(by_slice[z] for z in range(grid.shape[2]))
    lacking = [name for name in _UIDS if not all(plane.image.get(name) for plane in ordered)]
    if lacking:
        raise InputError(
            f"a DICOM series without {', '.join(lacking)}",
            expected="images with these elements; a SEG refers to its images by them",
            remedy="send output=image, or export the series again from its origin",
        )
    return ordered


def plain_image(plane: Plane) -> Dataset:
    """What highdicom reads of a source image: one frame, without a word about the patient."""
    image = Dataset()
    for name in _UIDS:
        setattr(image, name, plane.image[name].value)
    image.SOPClassUID = MRImageStorage  # highdicom knows no private ones
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber",
                 "StudyID", "StudyDate", "StudyTime"):  # fmt: skip
        setattr(image, name, None)
    image.PositionReferenceIndicator = plane.image.get("PositionReferenceIndicator")
    image.Modality = "MR"
    image.Rows, image.Columns = plane.image.Rows, plane.image.Columns
    image.ImagePositionPatient = plane.position_lps.tolist()
    image.ImageOrientationPatient = plane.orientation_lps.tolist()
    image.PixelSpacing = list(plane.spacing_mm)
    image.SliceThickness = plane.thickness_mm
    return image


def add_sources(
    segmentation: Dataset, planes: Sequence[Plane], others: Sequence[Sequence[Plane]]
) -> None:
    """Let each frame refer to its source images: the reference's first, then other series'.

    The list of series has all images of the reference, and of another series those that a frame
    refers to.

    Args:
        segmentation: the SEG, whose frames lie in `planes`.
        planes: the reference's planes in the order of the slices.
        others: the planes of each other series.
    """
    frames = list(segmentation.PerFrameFunctionalGroupsSequence)
    slices = _slices_of(frames, planes)
    ranks = {z: rank for rank, z in enumerate(sorted(set(slices)), start=1)}
    series = [_Series.of(other, planes[0].image.FrameOfReferenceUID) for other in others]
    sources = {
        z: [planes[z], *filter(None, (other.slice_showing(planes[z]) for other in series))]
        for z in ranks
    }
    for frame, z in zip(frames, slices, strict=True):
        segment = int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        frame.FrameContentSequence[0].DimensionIndexValues = [segment, ranks[z]]
        frame.DerivationImageSequence = [_derivation(sources[z])]
    referenced = [plane for z in sorted(sources) for plane in sources[z][1:]]
    _list_images(segmentation, [*planes, *referenced])


def _slices_of(frames: Sequence[Dataset], planes: Sequence[Plane]) -> list[int]:
    """The slice of each frame: the plane whose position is nearest to the frame's."""
    known = np.array([plane.position_lps for plane in planes])
    positions = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames]
    return [
        int(np.argmin(np.square(known - np.array(position, float)).sum(axis=1)))
        for position in positions
    ]


@dataclass(frozen=True, eq=False)
class _Series:
    """The planes of another series of the same frame of reference, with arrays of all of them."""

    planes: Sequence[Plane]
    positions_lps: Vector  # (N, 3)
    normals_lps: Vector  # (N, 3)

    @classmethod
    def of(cls, planes: Sequence[Plane], frame_of_reference: str) -> "_Series":
        """The planes with this Frame of Reference UID; there may be none."""
        near = [p for p in planes if p.image.get("FrameOfReferenceUID") == frame_of_reference]
        positions = np.array([plane.position_lps for plane in near]).reshape(-1, 3)
        normals = np.array([plane.normal_lps for plane in near]).reshape(-1, 3)
        return cls(near, positions, normals)

    def slice_showing(self, plane: Plane) -> Plane | None:
        """The nearest parallel slice that has the centre of a plane within its thickness."""
        centre = plane.pixel_affine_lps @ plane.corners_px.mean(axis=1)
        distances_mm = np.abs(((centre - self.positions_lps) * self.normals_lps).sum(axis=1))
        is_parallel = np.abs(self.normals_lps @ plane.normal_lps) >= _PARALLEL
        distances_mm = np.where(is_parallel, distances_mm, np.inf)
        if not len(distances_mm):
            return None
        nearest = int(np.argmin(distances_mm))
        other = self.planes[nearest]
        is_within = distances_mm[nearest] <= (other.thickness_mm or other.step_mm) / 2
        return other if is_within and _share_area(other, plane) else None


def _share_area(one: Plane, other: Plane) -> bool:
    """Whether the areas of two parallel planes overlap."""
    axes = other.orientation_lps.reshape(2, 3)
    a, b = (axes @ plane.pixel_affine_lps @ plane.corners_px for plane in (one, other))
    overlaps = (a.min(axis=1) <= b.max(axis=1)) & (b.min(axis=1) <= a.max(axis=1))
    return bool(overlaps.all())


def _derivation(sources: Sequence[Plane]) -> Dataset:
    item = Dataset()
    item.DerivationCodeSequence = [hd.sr.CodedConcept.from_code(codes.cid7203.Segmentation)]
    item.SourceImageSequence = [
        _source(plane, is_reference=number == 0) for number, plane in enumerate(sources)
    ]
    return item


def _source(plane: Plane, *, is_reference: bool) -> Dataset:
    item = _instance(plane)
    if plane.frame:
        item.ReferencedFrameNumber = plane.frame
    purpose = codes.cid7202.SourceImageForImageProcessingOperation
    item.PurposeOfReferenceCodeSequence = [hd.sr.CodedConcept.from_code(purpose)]
    if is_reference:
        item.SpatialLocationsPreserved = "YES"
    return item


def _instance(plane: Plane) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = plane.image.SOPClassUID
    item.ReferencedSOPInstanceUID = plane.image.SOPInstanceUID
    return item


def _list_images(segmentation: Dataset, planes: Sequence[Plane]) -> None:
    """Write the list of series and of images. Each image stands there once."""
    by_image = {plane.image.SOPInstanceUID: plane for plane in planes}
    series: dict[str, list[Plane]] = {}
    for plane in by_image.values():
        series.setdefault(plane.image.SeriesInstanceUID, []).append(plane)
    segmentation.SourceImageSequence = [_instance(plane) for plane in by_image.values()]
    segmentation.ReferencedSeriesSequence = [
        _referenced_series(uid, images) for uid, images in series.items()
    ]


def _referenced_series(series_uid: str, images: Sequence[Plane]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series_uid
    item.ReferencedInstanceSequence = [_instance(plane) for plane in images]
    return item
