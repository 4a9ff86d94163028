"""Instructions and measurements of a study as a DICOM Structured Report (TID 1500)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

import pydicom
from highdicom import UID
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
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

from zeus_app.dicom.measurements import LabelMeasurement
from zeus_app.dicom.report_groups import (
    GroupSources,
    ReportedLabel,
    empty_group,
    groups_of,
    text_item,
)
from zeus_app.dicom.report_texts import ZEUS_SCHEME, person_name, texts_of
from zeus_app.types import MACHINE_MADE, Instruction

SERIES_DESCRIPTION = f"Zeus measurements, {MACHINE_MADE}"
SERIES_NUMBER_OFFSET = 2000
"""Added to the Series Number of the measured series, so that a report stands behind all images."""
EMPTY_LABELS = Code("empty-labels", ZEUS_SCHEME, "Labels without a voxel")
_MRI = Code("25056-3", "LN", "MRI unspecified body region")  # CID 100
_PATIENT_AND_STUDY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


@dataclass(frozen=True)
class ReportAuthor:
    """Who made a report and its mask.

    Attributes:
        version: version of Zeus.
        algorithm: name of the model that made the mask; empty for a mask by hand.
        algorithm_version: version of the model, such as its checkpoint.
        user: name of the user; empty if nobody is logged in.
    """

    version: str
    algorithm: str = ""
    algorithm_version: str = ""
    user: str = ""


def write_report(
    measurements: Sequence[LabelMeasurement],
    labels: Mapping[str, ReportedLabel],
    *,
    series: Sequence[Path],
    author: ReportAuthor,
    segmentation: Dataset | None = None,
    instructions: Sequence[Instruction] = (),
) -> Dataset:
    """The report of a study: Comprehensive SR, complete, not verified, new UIDs.

    Args:
        measurements: what `measure_labels` says.
        labels: name of each measured label -> its code and segment.
        series: the files of the measured series, in any order.
        author: who made the report.
        segmentation: the DICOM SEG of the mask, or its header.
        instructions: the texts of the study.
    """
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in series]
    images = {str(header.SOPInstanceUID): header for header in headers}
    sources = GroupSources(images, segmentation, _algorithm(author))
    content = _content(measurements, labels, instructions, author, sources)
    evidence = [*headers, *([segmentation] if segmentation is not None else [])]
    document = ComprehensiveSR(
        evidence=[_reference(instance) for instance in evidence],
        content=content,
        series_instance_uid=UID(),
        series_number=int(headers[0].get("SeriesNumber") or 0) + SERIES_NUMBER_OFFSET,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer="Zeus",
        is_complete=True,
        series_description=SERIES_DESCRIPTION,
        manufacturer_model_name="Zeus",
        software_versions=author.version,
        coding_schemes=[CodingSchemeIdentificationItem(ZEUS_SCHEME, name="Zeus")],
    )
    document.copy_patient_and_study_information(headers[0])
    document.SpecificCharacterSet = "ISO_IR 192"
    return document


def _reference(instance: Dataset) -> Dataset:
    """The UIDs of an instance. highdicom would log a patient's name that it finds odd."""
    reference = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(reference, keyword, instance[keyword].value)
    for keyword in _PATIENT_AND_STUDY:
        setattr(reference, keyword, "")
    return reference


def _content(
    measurements: Sequence[LabelMeasurement],
    labels: Mapping[str, ReportedLabel],
    instructions: Sequence[Instruction],
    author: ReportAuthor,
    sources: GroupSources,
) -> ContentItem:
    shown = [m for m in measurements if m.diameter is not None]
    groups = [group for m in shown for group in groups_of(m, labels[m.label], sources)]
    report = MeasurementReport(
        observation_context=_observers(author),
        procedure_reported=_MRI,
        imaging_measurements=groups,
    )
    root = report[0]
    *head, imaging_measurements = root.ContentSequence
    notice = f"The measurements are {MACHINE_MADE}."
    findings = {name: label.finding for name, label in labels.items()}
    empty = [m for m in measurements if m.diameter is None]
    items = [
        *head,
        text_item(codes.DCM.Comment, notice, RelationshipTypeValues.CONTAINS),
        imaging_measurements if groups else None,
        texts_of(instructions, findings, author.user),
        _empty_labels(empty, labels, sources),
    ]
    root.ContentSequence = ContentSequence([item for item in items if item is not None])
    return root


def _empty_labels(
    measurements: Sequence[LabelMeasurement],
    labels: Mapping[str, ReportedLabel],
    sources: GroupSources,
) -> ContainerContentItem | None:
    """A container of their own, because OHIF cannot read them among the others."""
    if not measurements:
        return None
    container = ContainerContentItem(
        name=EMPTY_LABELS, relationship_type=RelationshipTypeValues.CONTAINS
    )
    groups = [empty_group(m, labels[m.label], sources)[0] for m in measurements]
    container.ContentSequence = ContentSequence(groups)
    return container


def _algorithm(author: ReportAuthor) -> AlgorithmIdentification | None:
    if not author.algorithm:
        return None
    return AlgorithmIdentification(author.algorithm, author.algorithm_version or "unknown")


def _observers(author: ReportAuthor) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=f"2.25.{uuid5(NAMESPACE_DNS, f'zeus {author.version}').int}",
        name="Zeus",
        model_name=f"Zeus {author.version}",
    )
    person = None
    if author.user:
        name = PersonObserverIdentifyingAttributes(person_name(author.user))
        person = ObserverContext(codes.DCM.Person, name)
    return ObservationContext(
        observer_device_context=ObserverContext(codes.DCM.Device, device),
        observer_person_context=person,
    )
