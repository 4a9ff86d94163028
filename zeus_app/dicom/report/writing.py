"""Instructions and measurements of a study as a DICOM Structured Report (TID 1500)."""

from collections.abc import Mapping, Sequence
from uuid import NAMESPACE_DNS, uuid4, uuid5

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    Comprehensive3DSR,
    ComprehensiveSR,
    ContainerContentItem,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    RelationshipTypeValues,
)
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from zeus_app.dicom.codes import PRIVATE_SCHEME, long_string
from zeus_app.dicom.report.groups import empty_group, groups_of
from zeus_app.dicom.report.lines import has_square_pixels
from zeus_app.dicom.report.measurements import LabelMeasurement
from zeus_app.dicom.report.segments import Segment, segments_of
from zeus_app.dicom.report.texts import person_name, text_item, texts_of
from zeus_app.dicom.segmentation.writing import MANUFACTURER, software_version
from zeus_app.types import MACHINE_MADE, Instruction

SERIES_DESCRIPTION = f"Zeus measurements, {MACHINE_MADE}"
EMPTY_LABELS = Code("empty-labels", PRIVATE_SCHEME, "Labels without a voxel")
_DICE_NOTICE = "Dice compares each label with its version before."
_MRI = Code("25056-3", "LN", "MRI unspecified body region")  # CID 100
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_PATIENT_AND_STUDY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


def write_report(
    measurements: Sequence[LabelMeasurement],
    *,
    segmentation: Dataset,
    instructions: Sequence[Instruction] = (),
    user: str = "",
) -> Dataset:
    """The report of a study: complete, not verified, with new UIDs. Nothing is written to disk.

    Args:
        measurements: what `measure_labels` says of the mask.
        segmentation: what `write_segmentation` made of the same mask. Codes, tracking UIDs,
            patient and study are taken from it.
        instructions: the texts of the study.
        user: name of the user who wrote texts or changed the mask; empty if nobody is logged in.
    """
    planes = [m.line.plane for m in measurements if m.line]
    kind = ComprehensiveSR if all(map(has_square_pixels, planes)) else Comprehensive3DSR
    document = kind(
        evidence=[_reference(i) for i in [segmentation, *(plane.image for plane in planes)]],
        content=_content(measurements, segmentation, instructions, user),
        series_instance_uid=_new_uid(),
        series_number=int(segmentation.SeriesNumber) + 1,
        sop_instance_uid=_new_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        series_description=SERIES_DESCRIPTION,
        manufacturer_model_name=MANUFACTURER,
        software_versions=software_version(),
        coding_schemes=[CodingSchemeIdentificationItem(PRIVATE_SCHEME, name="Zeus")],
    )
    document.SpecificCharacterSet = "ISO_IR 192"
    document.copy_patient_and_study_information(segmentation)
    return document


def _reference(instance: Dataset) -> Dataset:
    """The UIDs of an instance. highdicom would log a patient's name that it finds odd."""
    reference = Dataset()
    for keyword in _UIDS:
        setattr(reference, keyword, instance[keyword].value)
    for keyword in _PATIENT_AND_STUDY:
        setattr(reference, keyword, None)
    return reference


def _new_uid() -> str:
    return f"2.25.{uuid4().int}"


def _content(
    measurements: Sequence[LabelMeasurement],
    segmentation: Dataset,
    instructions: Sequence[Instruction],
    user: str,
) -> ContentItem:
    segments = {m.label: segments_of(segmentation)[long_string(m.label)] for m in measurements}
    groups = [
        group
        for m in measurements
        if m.line
        for group in groups_of(m, m.line, segments[m.label], segmentation)
    ]
    root = MeasurementReport(_observers(user), _MRI, groups)[0]
    *head, imaging_measurements = root.ContentSequence
    has_dice = any(m.dice_before is not None for m in measurements)
    notice = f"The measurements are {MACHINE_MADE}." + (f" {_DICE_NOTICE}" if has_dice else "")
    findings = {label: segment.finding for label, segment in segments.items()}
    items = [
        *head,
        text_item(codes.DCM.Comment, notice, RelationshipTypeValues.CONTAINS),
        imaging_measurements if groups else None,
        texts_of(instructions, findings, user),
        _empty_labels([m for m in measurements if m.line is None], segments),
    ]
    root.ContentSequence = ContentSequence([item for item in items if item is not None])
    return root


def _empty_labels(
    measurements: Sequence[LabelMeasurement], segments: Mapping[str, Segment]
) -> ContainerContentItem | None:
    """A container of their own, because OHIF cannot read them among the others."""
    if not measurements:
        return None
    container = ContainerContentItem(
        name=EMPTY_LABELS, relationship_type=RelationshipTypeValues.CONTAINS
    )
    groups = [empty_group(m, segments[m.label])[0] for m in measurements]
    container.ContentSequence = ContentSequence(groups)
    return container


def _observers(user: str) -> ObservationContext:
    name = f"{MANUFACTURER} {software_version()}"
    device = DeviceObserverIdentifyingAttributes(
        uid=f"2.25.{uuid5(NAMESPACE_DNS, name).int}", name=MANUFACTURER, model_name=name
    )
    person = None
    if user:
        attributes = PersonObserverIdentifyingAttributes(person_name(user))
        person = ObserverContext(codes.DCM.Person, attributes)
    return ObservationContext(
        observer_device_context=ObserverContext(codes.DCM.Device, device),
        observer_person_context=person,
    )
