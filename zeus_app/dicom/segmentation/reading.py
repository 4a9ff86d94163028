"""Read a DICOM SEG, whoever wrote it: its segments as masks on a grid, and what it says of itself.

Frames are placed by their geometry, never by their order or number.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as Concept

from zeus_app.dicom.codes import are_equal, read_concept
from zeus_app.dicom.own_objects import is_own
from zeus_app.dicom.planes import planes_of
from zeus_app.dicom.segmentation.frames import Frame, place_frames
from zeus_app.errors import InputError
from zeus_app.types import BoolArray, Grid

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
MOST_PIXELS = 2_000_000_000
"""Pixels of all frames together; a SEG that states more is refused before it is unpacked."""
_BACKGROUND = Concept("125040", "DCM", "Background")
_FRACTION = 0.5  # of the maximum, from which a fractional voxel belongs to its segment


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment of a DICOM SEG.

    Attributes:
        number: Segment Number.
        name: Segment Label.
        category, type, modifier: its codes; None if the file has none.
        algorithm_type: MANUAL, SEMIAUTOMATIC or AUTOMATIC; empty if the file does not say.
        algorithm_name: name of the algorithm; empty if the file has none.
        tracking_uid: Tracking UID; empty if the file has none.
        mask: (X, Y, Z) bool on the whole grid.
        notes: what was changed on the way to the grid, for users.
    """

    number: int
    name: str
    category: Concept | None
    type: Concept | None
    modifier: Concept | None
    algorithm_type: str
    algorithm_name: str
    tracking_uid: str
    mask: BoolArray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentationOrigin:
    """Where a SEG comes from, and which images it refers to.

    Attributes:
        sop_uid, series_uid, study_uid: its own UIDs.
        referenced_series: Series Instance UIDs of its source images; the reference is the first.
        referenced_images: SOP Instance UIDs of its source images.
        creator: Content Creator's Name.
        manufacturer: Manufacturer of the program.
        algorithm_types: the Segment Algorithm Types of its segments, without repetition.
        is_from_zeus: whether Zeus wrote it.
    """

    sop_uid: str
    series_uid: str
    study_uid: str
    referenced_series: tuple[str, ...]
    referenced_images: tuple[str, ...]
    creator: str
    manufacturer: str
    algorithm_types: tuple[str, ...]
    is_from_zeus: bool


def read_origin(data: Dataset) -> SegmentationOrigin:
    """What a SEG says of itself. Its pixels are not needed. Raises InputError for other objects."""
    _check_class(data)
    series = [str(item.get("SeriesInstanceUID", ""))
              for item in data.get("ReferencedSeriesSequence") or ()]  # fmt: skip
    types = [str(s.get("SegmentAlgorithmType", "")) for s in data.get("SegmentSequence") or ()]
    return SegmentationOrigin(
        sop_uid=str(data.get("SOPInstanceUID", "")),
        series_uid=str(data.get("SeriesInstanceUID", "")),
        study_uid=str(data.get("StudyInstanceUID", "")),
        referenced_series=tuple(dict.fromkeys(uid for uid in series if uid)),
        referenced_images=tuple(dict.fromkeys(_image_uids(data))),
        creator=str(data.get("ContentCreatorName") or ""),
        manufacturer=str(data.get("Manufacturer") or ""),
        algorithm_types=tuple(dict.fromkeys(types)),
        is_from_zeus=is_own(data),
    )


def _image_uids(data: Dataset) -> list[str]:
    """SOP Instance UIDs in the list of series, and in the frames' own references."""
    items = [i for series in data.get("ReferencedSeriesSequence") or ()
             for i in series.get("ReferencedInstanceSequence") or ()]  # fmt: skip
    groups = [*(data.get("SharedFunctionalGroupsSequence") or ()),
              *(data.get("PerFrameFunctionalGroupsSequence") or ())]  # fmt: skip
    for group in groups:
        for derivation in group.get("DerivationImageSequence") or ():
            items += list(derivation.get("SourceImageSequence") or ())
    return [str(i.ReferencedSOPInstanceUID) for i in items if i.get("ReferencedSOPInstanceUID")]


def read_segmentation(data: Dataset, grid: Grid) -> tuple[Segment, ...]:
    """The segments of a SEG as masks on a grid, in the order of their numbers.

    A fractional SEG is cut at half of its maximum. A SEG with other voxels than the grid is
    resampled to the nearest voxel. Both leave a note.

    Args:
        data: a SEG of type BINARY or FRACTIONAL, or a label map SEG, with its pixels.
        grid: the grid of the image that the masks are for.

    Raises:
        InputError: it is no SEG, its pixels cannot be decoded, or its frames have no usable place.
    """
    frames, notes = _frames(data)
    segments = []
    for item in sorted(data.SegmentSequence, key=lambda item: int(item.SegmentNumber)):
        number = int(item.SegmentNumber)
        kind = read_concept(item.get("SegmentedPropertyTypeCodeSequence"))
        if number == 0 or are_equal(kind, _BACKGROUND):
            continue
        mask, placed = place_frames(frames.get(number, []), grid)
        segments.append(_segment(item, mask, (*notes, *placed)))
    return tuple(segments)


def _segment(item: Dataset, mask: BoolArray, notes: tuple[str, ...]) -> Segment:
    kinds = item.get("SegmentedPropertyTypeCodeSequence")
    modifiers = kinds[0].get("SegmentedPropertyTypeModifierCodeSequence") if kinds else None
    number = int(item.SegmentNumber)
    return Segment(
        number=number,
        name=str(item.get("SegmentLabel") or f"segment {number}"),
        category=read_concept(item.get("SegmentedPropertyCategoryCodeSequence")),
        type=read_concept(kinds),
        modifier=read_concept(modifiers),
        algorithm_type=str(item.get("SegmentAlgorithmType") or ""),
        algorithm_name=str(item.get("SegmentAlgorithmName") or ""),
        tracking_uid=str(item.get("TrackingUID") or ""),
        mask=mask,
        notes=notes,
    )


def _frames(data: Dataset) -> tuple[dict[int, list[Frame]], tuple[str, ...]]:
    """Segment number -> its frames with a voxel; and notes on how pixels became masks."""
    _check_class(data)
    if not data.get("SegmentSequence"):
        raise _refused("a SEG without segments", "a SEG that describes its segments")
    planes, pixels = planes_of(data), _pixels(data)
    if len(planes) != len(pixels):
        raise _refused(
            f"a SEG with {len(pixels)} frames and the places of {len(planes)}",
            "a place for every frame",
        )
    frames: dict[int, list[Frame]] = {}
    if _is_label_map(data):
        for plane, image in zip(planes, pixels, strict=True):
            for number in np.unique(image).tolist():
                frames.setdefault(number, []).append(Frame(plane, image == number))
        return frames, ()
    numbers = [_segment_number(data, index) for index in range(len(planes))]
    least, notes = _cut(data, pixels)
    for number, plane, image in zip(numbers, planes, pixels, strict=True):
        frames.setdefault(number, []).append(Frame(plane, image >= least))
    return frames, notes


def _segment_number(data: Dataset, frame: int) -> int:
    """The segment of a frame, from 0; in the frame's groups or those of all frames."""
    groups = [data.PerFrameFunctionalGroupsSequence[frame]] if _has_groups(data) else []
    for group in [*groups, *(data.get("SharedFunctionalGroupsSequence") or ())]:
        if group.get("SegmentIdentificationSequence"):
            return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    if len(data.SegmentSequence) == 1:
        return int(data.SegmentSequence[0].SegmentNumber)
    raise _refused(
        f"a SEG whose frame {frame + 1} names no segment", "a segment number for every frame"
    )


def _has_groups(data: Dataset) -> bool:
    return bool(data.get("PerFrameFunctionalGroupsSequence"))


def _is_label_map(data: Dataset) -> bool:
    is_class = str(data.SOPClassUID) == LABEL_MAP_SEGMENTATION
    return is_class or data.get("SegmentationType") == "LABELMAP"


def _cut(data: Dataset, pixels: npt.NDArray[Any]) -> tuple[float, tuple[str, ...]]:
    """The least pixel value that belongs to a segment, and a note if the file does not say it.

    Cornerstone (OHIF) writes compressed masks as fractions with a maximum of 255 and the values 0
    and 1, because DICOM has no compressed binary SEG.
    """
    if data.get("SegmentationType") != "FRACTIONAL":
        return 1, ()
    if pixels.max(initial=0) <= 1:
        return 1, ("fractional with the values 0 and 1 alone: read as binary",)
    maximum = float(data.get("MaximumFractionalValue") or 255)
    return _FRACTION * maximum, ("fractional: cut at half of the maximum",)


def _pixels(data: Dataset) -> npt.NDArray[Any]:
    """(frames, rows, columns), unsigned.

    Raises:
        InputError: the pixels are too many, missing or in an encoding that cannot be decoded.
    """
    stated = int(data.get("NumberOfFrames") or 1) * int(data.Rows) * int(data.Columns)
    if stated > MOST_PIXELS:
        raise _refused(f"a SEG that states {stated} pixels", f"at most {MOST_PIXELS}")
    try:
        pixels = np.asarray(data.pixel_array)
    except Exception as error:  # pydicom and its decoders raise exceptions of many types
        raise InputError(
            f"a SEG whose pixels cannot be decoded ({type(error).__name__})",
            expected="complete, uncompressed pixels, or RLE",
            remedy="send it uncompressed, for example after gdcmconv --raw",
        ) from error
    return pixels.reshape(-1, int(data.Rows), int(data.Columns))


def _check_class(data: Dataset) -> None:
    if str(data.get("SOPClassUID", "")) not in (SEGMENTATION, LABEL_MAP_SEGMENTATION):
        raise _refused("a DICOM object that is no SEG", "a SEG (Modality SEG)")


def _refused(came: str, expected: str) -> InputError:
    return InputError(came, expected=expected, remedy="export the segmentation again as DICOM SEG")
