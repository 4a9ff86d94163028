"""Write a label map as DICOM SEG: one segment per label, on the planes of its source images."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from zeus_app.dicom.codes import codes_of, long_string, private_scheme
from zeus_app.dicom.planes import Plane, read_planes
from zeus_app.dicom.segmentation.sources import add_sources, plain_image, planes_of_grid
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.targets import Label, Target
from zeus_app.types import MACHINE_MADE, Volume

MadeBy = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
"""DICOM's Segment Algorithm Type: a model alone, a person with a model's help, or a person."""
MANUFACTURER = "Zeus"
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_LARGEST_SOURCE_NUMBER = 10**7  # a Series Number must be below 2³¹
_SERIES_NUMBER = 9060  # of a SEG whose source has none, or one that is too large


@dataclass(frozen=True)
class Authorship:
    """Who made a mask.

    Attributes:
        made_by: see `MadeBy`.
        algorithm_version: version of the model, for example of its checkpoint; for a model's masks.
        creator: name of the person; empty for a model.
        algorithm_name: name of the model; for a model's masks.
    """

    made_by: MadeBy
    algorithm_version: str = ""
    creator: str = ""
    algorithm_name: str = MANUFACTURER

    @property
    def notice(self) -> str:
        """What readers must know of the mask: the Content Description."""
        if self.made_by == "AUTOMATIC":
            return MACHINE_MADE
        return "made by a person" + (" with a model" if self.made_by == "SEMIAUTOMATIC" else "")


def write_segmentation(
    label_map: Volume,
    *,
    target: Target,
    reference: DicomSeriesSource,
    authorship: Authorship,
    others: Sequence[DicomSeriesSource] = (),
    keep_empty_frames: bool = False,
    series_number: int | None = None,
) -> Dataset:
    """A label map as a DICOM SEG of the source's study. Nothing is written to disk.

    An empty mask is valid. It has all frames, since a SEG has at least one.

    Args:
        label_map: the target's values on the source grid of the reference.
        target: names, values and codes of the labels.
        reference: the series whose grid the label map has.
        authorship: who made the mask.
        others: other series that the mask was made from. A frame refers to their slices that lie
            in its plane.
        keep_empty_frames: keep the frames without a voxel of their segment.
        series_number: Series Number; None for one made of the reference's.

    Raises:
        InputError: the files do not have the label map's grid or no Frame of Reference UID, or the
            label map has a value that is no label's.
    """
    planes = planes_of_grid(read_planes(reference), label_map.grid)
    header, numbers = planes[0].image, _segment_numbers(label_map, target)
    segmentation = hd.seg.Segmentation(
        source_images=[plain_image(plane) for plane in planes],
        pixel_array=numbers,
        segmentation_type="BINARY",
        segment_descriptions=[
            _describe_segment(number, label, target, header, authorship)
            for number, label in enumerate(target.labels, start=1)
        ],
        series_instance_uid=_new_uid(),
        series_number=series_number or _series_number(header),
        sop_instance_uid=_new_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=software_version(),
        device_serial_number="0",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label="SEGMENTATION",
        content_description=authorship.notice,
        omit_empty_frames=not keep_empty_frames and bool(numbers.any()),
        pixel_measures=_pixel_measures(planes[0], label_map),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", planes[0].orientation_lps),
        plane_positions=[hd.PlanePositionSequence("PATIENT", p.position_lps) for p in planes],
        series_description=long_string(f"Zeus: {target.instance}"),
        coding_schemes=_coding_schemes(target),
    )
    segmentation.ContentCreatorName = authorship.creator or f"{MANUFACTURER}^"
    _copy_patient_and_study(segmentation, header)
    add_sources(segmentation, planes, [read_planes(other) for other in others])
    return segmentation


def software_version() -> str:
    """The version of the installed Zeus."""
    try:
        return version("zeus-mri")
    except PackageNotFoundError:
        return "unknown"


def _segment_numbers(label_map: Volume, target: Target) -> npt.NDArray[np.uint8]:
    """(slices, rows, columns) with the segments' numbers, which count from 1 without a gap."""
    values = np.asarray(label_map.array).astype(np.uint8)
    numbers = np.zeros(256, np.uint8)
    for number, value in enumerate(target.label_values.values(), start=1):
        numbers[value] = number
    unknown = np.setdiff1d(np.unique(label_map.array), [0, *target.label_values.values()])
    if len(unknown):
        raise InputError(
            f"a label map with the values {unknown.tolist()}",
            expected=f"the values of {target.name}: {target.label_values}",
            remedy="send a label map of this target",
        )
    return np.ascontiguousarray(numbers[values].transpose(2, 1, 0))


def _describe_segment(
    number: int, label: Label, target: Target, header: Dataset, authorship: Authorship
) -> hd.seg.SegmentDescription:
    label_codes = codes_of(label)
    is_manual = authorship.made_by == "MANUAL"
    described = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=long_string(label.name),
        segmented_property_category=label_codes.category,
        segmented_property_type=label_codes.type,
        algorithm_type=authorship.made_by,
        algorithm_identification=None if is_manual else _algorithm(authorship),
        tracking_id=long_string(f"{target.name}: {label.name}"),
        tracking_uid=tracking_uid(str(header.StudyInstanceUID), target, label),
        anatomic_regions=None if label_codes.region is None else [label_codes.region],
    )
    if label_codes.modifier is not None:
        item = described.SegmentedPropertyTypeCodeSequence[0]
        item.SegmentedPropertyTypeModifierCodeSequence = [
            hd.sr.CodedConcept.from_code(label_codes.modifier)
        ]
    return described


def _algorithm(authorship: Authorship) -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name=long_string(authorship.algorithm_name) or MANUFACTURER,
        family=codes.cid7162.ArtificialIntelligence,
        version=long_string(authorship.algorithm_version) or software_version(),
        source=long_string(authorship.algorithm_name) or MANUFACTURER,
    )


def tracking_uid(study_uid: str, target: Target, label: Label) -> str:
    """The same UID for the same label of the same study, in each of its versions."""
    name = "/".join((study_uid, target.name, label.name))
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def _new_uid() -> str:
    """A random UID, as DICOM PS3.5 annex B.2 makes it of a UUID."""
    return f"2.25.{uuid.uuid4().int}"


def _series_number(header: Dataset) -> int:
    """100 times the source's number, plus 60, which lists the SEG after its source."""
    source = int(header.get("SeriesNumber") or 0)
    is_usable = 0 < source <= _LARGEST_SOURCE_NUMBER
    return 100 * source + 60 if is_usable else _SERIES_NUMBER


def _pixel_measures(plane: Plane, label_map: Volume) -> hd.PixelMeasuresSequence:
    """The distance between slices is measured; headers may state another one."""
    step_mm = round(label_map.grid.spacing_mm[2], 6)  # DICOM's decimal strings are short
    return hd.PixelMeasuresSequence(
        pixel_spacing=plane.spacing_mm,
        slice_thickness=plane.thickness_mm or step_mm,
        spacing_between_slices=step_mm,
    )


def _coding_schemes(target: Target) -> list[CodingSchemeIdentificationItem] | None:
    has_private = any(codes_of(label).is_private for label in target.labels)
    return [private_scheme()] if has_private else None


def _copy_patient_and_study(segmentation: hd.seg.Segmentation, header: Dataset) -> None:
    """Copy what tells patient and study, as it stands in the source.

    The constructor of highdicom would log a name that it finds odd, and refuse unusual dates.
    """
    segmentation.SpecificCharacterSet = "ISO_IR 192"  # pydicom encodes all texts for it
    header.decode()
    source = Dataset()
    source.update(header)
    del source.SOPClassUID  # highdicom goes by the class, and knows no private one
    source.SOPClassUID = MRImageStorage
    segmentation.copy_patient_and_study_information(source)
    for keyword in _LOSSY:
        if keyword in header:
            segmentation[keyword] = header[keyword]
