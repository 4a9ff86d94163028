"""A DICOM SEG becomes a final label, if a person drew it and it shows labels of the target."""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from zeus_app.dicom.segmentation.matching import MatchedSegments, to_label_map
from zeus_app.dicom.segmentation.reading import (
    Segment,
    SegmentationOrigin,
    read_origin,
    read_segmentation,
)
from zeus_app.errors import InputError, PacsError, UnknownNameError
from zeus_app.labels.files import write_label
from zeus_app.labels.versions import FINAL
from zeus_app.server.segmentations.records import NOT_SERVED, SegmentationRecord
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.targets import Target
from zeus_app.types import Volume

MADE_BY_A_PERSON = frozenset({"MANUAL", "SEMIAUTOMATIC"})
SOP_UID = "segmentation"
"""Entry of a label's info: SOP Instance UID of the DICOM SEG that it was."""
logger = logging.getLogger(__name__)


class SegmentationTaker:
    """Takes SEGs as final labels, each at most once.

    Args:
        datastore: the studies and their labels.
        target: the labels.
        creators: content creators whose SEGs are labels, even if a program made them.
        on_label: called with the study's id after each new label.
    """

    def __init__(
        self,
        datastore: StudyDatastore,
        target: Target,
        *,
        creators: Collection[str] = (),
        on_label: Callable[[str], None] = lambda _study: None,
    ) -> None:
        self._store, self._target, self._on_label = datastore, target, on_label
        self._creators = frozenset(map(_plain, creators)) - {""}
        self._lock = threading.Lock()

    def take(self, data: Dataset, *, wanted: bool = False) -> SegmentationRecord:
        """Take a SEG as a final label, or say why it is none.

        Args:
            data: the SEG with its pixels. It may be damaged.
            wanted: whether a user asks for it; then it does not matter who made it.

        Raises:
            PacsError: the PACS does not answer; the SEG can be taken later.
        """
        record = SegmentationRecord(
            str(data.get("SOPInstanceUID", "")),
            str(data.get("SeriesInstanceUID", "")),
            str(data.get("StudyInstanceUID", "")),
            found=time.time(),
        )
        try:
            origin = read_origin(data)
            record = replace(record, author=origin.creator, made_by=origin.algorithm_types)
            resolved = self._image_of(origin)
            if resolved is None:
                return replace(record, reason=NOT_SERVED)
            record = replace(record, study=resolved.study)
            if reason := self._reason_against(origin, wanted=wanted):
                return replace(record, reason=reason)
            return self._take(data, origin, resolved=resolved, record=record)
        except PacsError:
            raise
        except InputError as error:
            return replace(record, reason=str(error))
        except Exception as error:  # pydicom raises exceptions of many types for damaged files
            logger.info("Zeus: segmentation %s cannot be read", record.sop_uid, exc_info=True)
            return replace(record, reason=f"it is damaged ({type(error).__name__})")

    def _take(
        self,
        data: Dataset,
        origin: SegmentationOrigin,
        *,
        resolved: ResolvedImage,
        record: SegmentationRecord,
    ) -> SegmentationRecord:
        segments = read_segmentation(data, self._store.catalogue.grid(resolved))
        matched = to_label_map(segments, self._target)
        record = replace(record, notes=_notes(segments, matched))
        if not matched.matched:
            labels = ", ".join(self._target.label_names)
            return replace(
                record, reason=f"none of its segments is a label of the target: {labels}"
            )
        return self._add(resolved, origin, matched, record)

    def _image_of(self, origin: SegmentationOrigin) -> ResolvedImage | None:
        """The image that the SEG was drawn on: of its series, the first that Zeus knows.

        None if Zeus does not serve the study.
        """
        try:
            study = self._store.catalogue.resolve(origin.study_uid)
        except UnknownNameError:
            return None
        known = (uid for uid in origin.referenced_series if uid in study.files.series)
        series = next(known, "")
        return self._store.catalogue.resolve(f"{study.study}/{series}") if series else study

    def _reason_against(self, origin: SegmentationOrigin, *, wanted: bool) -> str:
        """Why a SEG is not taken before its pixels are read; empty if it may be."""
        if origin.is_from_zeus:
            return "Zeus made it itself"
        is_a_persons = MADE_BY_A_PERSON.issuperset(origin.algorithm_types)
        if wanted or is_a_persons or _plain(origin.creator) in self._creators:
            return ""
        return (
            "a program made it (AUTOMATIC), and the setting pacs_label_creators does not name its"
            " creator. POST /zeus/segmentations/<its UID>/take takes it"
        )

    def _add(
        self,
        resolved: ResolvedImage,
        origin: SegmentationOrigin,
        matched: MatchedSegments,
        record: SegmentationRecord,
    ) -> SegmentationRecord:
        info: dict[str, Any] = {
            "imported_from": f"DICOM SEG {record.sop_uid}",
            SOP_UID: record.sop_uid,
            "author": origin.creator,
            "made_by": _made_by(origin),
        }
        with self._lock:
            if version := self._version(resolved.study, record.sop_uid):
                return replace(record, version=version)
            self._save(resolved, matched, info)
            version = self._version(resolved.study, record.sop_uid)
        self._on_label(resolved.study)
        logger.info("Zeus: segmentation %s is a label of %s", record.sop_uid, resolved.study)
        return replace(record, version=version)

    def _save(
        self, resolved: ResolvedImage, matched: MatchedSegments, info: dict[str, Any]
    ) -> None:
        """Add the label through the same checks as a label that a client sends."""
        grid = self._store.catalogue.grid(resolved)
        with tempfile.TemporaryDirectory(prefix="zeus-seg-") as folder:
            path = Path(folder) / "label.nii.gz"
            label = Volume(matched.label_map, grid.affine_ras)
            write_label(path, label, names=self._target.label_values)
            self._store.add_label(resolved, path, FINAL, info)

    def _version(self, study: str, sop_uid: str) -> int:
        """Number of the label's version that a SEG became; 0 if it is none."""
        versions = self._store.history.versions(study, FINAL)
        return next((v.number for v in versions if v.info.get(SOP_UID) == sop_uid), 0)


def _made_by(origin: SegmentationOrigin) -> str:
    """One word for all segments: the least that a person did."""
    for kind in ("AUTOMATIC", "SEMIAUTOMATIC"):
        if kind in origin.algorithm_types:
            return kind
    return "MANUAL"


def _notes(segments: Collection[Segment], matched: MatchedSegments) -> tuple[str, ...]:
    notes = [note for segment in segments for note in segment.notes]
    notes += [f"segment {name!r} is no label of the target" for name in matched.unmatched]
    if matched.overlapping:
        notes.append(f"{matched.overlapping} voxels are in segments of two labels")
    return tuple(dict.fromkeys(notes))


def _plain(name: str) -> str:
    """A person's name for comparisons: DICOM separates its parts by `^`."""
    return " ".join(name.replace("^", " ").casefold().split())
