"""Finds the DICOM SEGs that users stored in the PACS, while the server runs, when a client asks.

Stock OHIF never sends a label to the server. Its users export a DICOM SEG to the PACS.
"""

import time
from collections.abc import Callable, Collection, Iterator

from pydicom.dataset import Dataset

from zeus_app.dicom.web.client import DicomWeb, text_of, texts_of
from zeus_app.dicom.web.errors import NotInPacsError
from zeus_app.dicom.web.paths import is_uid
from zeus_app.errors import InputError
from zeus_app.server.segmentations.records import (
    NOT_SERVED,
    SegmentationRecord,
    SegmentationRecords,
)
from zeus_app.server.studies.lookout import Lookout

SEG = "SEG"
_COUNTS = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
LEAST_REST_S = 15.0
_LEAST_AGE_UNCHANGED_S = 60.0
"""An Orthanc does not tell what was removed: it is asked after this time without a change."""


class SegmentationSearch(Lookout):
    """Reads each new SEG of the PACS once.

    One request lists the studies with a SEG. Only a study whose numbers of series and objects have
    changed is asked for its series, and only a SEG that is not known is downloaded.

    Args:
        web: the PACS.
        records: what was found so far.
        take: reads a SEG, and makes it a label if it may be one.
        tell: told of each searched study the series with SEGs that the PACS has, and when it was
            asked for them, in seconds since 1970.
        serves: whether Zeus serves a study, by its Study Instance UID.

    Attributes:
        records: as above.
    """

    sought = "segmentations"
    least_rest_s = LEAST_REST_S

    def __init__(
        self,
        web: DicomWeb,
        records: SegmentationRecords,
        take: Callable[..., SegmentationRecord],
        *,
        tell: Callable[[str, Collection[str], float], object] = lambda *_: None,
        serves: Callable[[str], bool] = lambda _: False,
    ) -> None:
        super().__init__()
        self._web, self.records, self._take, self._tell = web, records, take, tell
        self._serves = serves
        self._change: int | None = None
        self._asked_at_s = float("-inf")  # of the monotonic clock

    def take(self, sop_uid: str) -> SegmentationRecord:
        """Take a SEG as a final label because a user asks for it.

        Raises:
            UnknownNameError: no such SEG was found.
            InputError: the PACS no longer has it, or it cannot be a label, with the reason.
        """
        record = self.records.get(sop_uid)
        data = self._download(record)
        taken = self._take(data, wanted=True)
        self.records.put(taken)
        if taken.reason:
            raise InputError(
                f"segmentation {sop_uid}: {taken.reason}",
                expected="a DICOM SEG of a served study with labels of the target",
                remedy="correct it in the viewer and export it again",
            )
        return taken

    def _download(self, record: SegmentationRecord) -> Dataset:
        for data in self._web.retrieve_series(record.study_uid, record.series_uid):
            if str(data.get("SOPInstanceUID", "")) == record.sop_uid:
                return data
        raise NotInPacsError(
            f"segmentation {record.sop_uid}, which the PACS no longer has",
            expected="a segmentation that is in the PACS",
            remedy="GET /zeus/segmentations lists those that Zeus found",
        )

    def look_now(self) -> None:
        """Read the SEGs that are new, and note those that are gone. Raises PacsError."""
        # The number first: what changes meanwhile is then seen at the next look.
        change, now_s = self._web.last_change(), time.monotonic()
        is_unchanged = change is not None and change == self._change
        if not is_unchanged or now_s - self._asked_at_s >= _LEAST_AGE_UNCHANGED_S:
            self._look_through()
            self._change, self._asked_at_s = change, now_s
        self._try_again()

    def _look_through(self) -> None:
        """Ask for the studies with a SEG, and search those that have changed."""
        states = dict(self._studies())
        for study_uid, state in states.items():
            if not any(state) or state != self.records.searched(study_uid):
                self._search(study_uid, state)
        for study_uid in self.records.searched_studies - states.keys():
            if any(not record.is_gone for record in self.records.of_study(study_uid)):
                self._search(study_uid, ())

    def _try_again(self) -> None:
        """Take the SEGs that came before Zeus knew their study, as those of a new study may."""
        for record in self.records.all():
            is_early = record.reason == NOT_SERVED and not record.is_gone
            if is_early and self._serves(record.study_uid):
                self.records.put(self._take(self._download(record)))

    def _studies(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Study Instance UID -> its numbers of series and objects, for each study with a SEG."""
        filters, fields = {"ModalitiesInStudy": SEG}, ("ModalitiesInStudy", *_COUNTS)
        for item in self._web.studies(filters, fields):
            modalities = texts_of(item, "ModalitiesInStudy")
            uid = text_of(item, "StudyInstanceUID")
            if is_uid(uid) and (
                not modalities or SEG in modalities
            ):  # a PACS may ignore the filter
                yield uid, tuple(text_of(item, name) for name in _COUNTS)

    def _search(self, study_uid: str, state: tuple[str, ...]) -> None:
        """Read the SEGs of a study that are not known, and note those that are gone."""
        present: set[str] = set()
        asked = time.time()
        for item in self._web.series(study_uid, {"Modality": SEG}):
            series_uid = text_of(item, "SeriesInstanceUID")
            if not is_uid(series_uid) or text_of(item, "Modality") != SEG:
                continue
            present.add(series_uid)
            if self._has_more(series_uid, text_of(item, "NumberOfSeriesRelatedInstances")):
                self._read(study_uid, series_uid)
        self._tell(study_uid, present, asked)
        self.records.close_study(study_uid, state, present=present)

    def _has_more(self, series_uid: str, instances: str) -> bool:
        """Whether a series has objects that are not known. A PACS may not tell their number."""
        known = sum(record.series_uid == series_uid for record in self.records.all())
        return not instances.isdigit() or int(instances) > known

    def _read(self, study_uid: str, series_uid: str) -> None:
        for data in self._web.retrieve_series(study_uid, series_uid):
            sop_uid = str(data.get("SOPInstanceUID", ""))
            if is_uid(sop_uid) and sop_uid not in self.records:
                self.records.put(self._take(data))
