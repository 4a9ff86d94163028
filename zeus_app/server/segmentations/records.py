"""What was found: one record for each DICOM SEG of the PACS, kept on the disk."""

import json
import logging
import threading
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from zeus_app.errors import UnknownNameError
from zeus_app.storage.atomic import write_text_atomically

NOT_SERVED = "Zeus does not serve its study"
"""The reason of a SEG whose study is not listed. It is taken once the study is."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SegmentationRecord:
    """One DICOM SEG, and what became of it.

    Attributes:
        sop_uid, series_uid, study_uid: its UIDs.
        study: id of its study in Zeus; empty if Zeus does not serve the study.
        author: Content Creator's Name; empty if the file has none.
        made_by: the Segment Algorithm Types of its segments.
        version: number of the label's version that it became; 0 if it is no label.
        reason: why it is no label; empty if it is one.
        notes: what was changed on the way, and which segments are no label of the target.
        found: when it was read, in seconds since 1970.
        is_gone: whether the PACS no longer has it.
    """

    sop_uid: str
    series_uid: str
    study_uid: str
    study: str = ""
    author: str = ""
    made_by: tuple[str, ...] = ()
    version: int = 0
    reason: str = ""
    notes: tuple[str, ...] = ()
    found: float = 0.0
    is_gone: bool = False


class SegmentationRecords:
    """The records, and the state in which each study was searched last.

    Args:
        path: the JSON file. A damaged file is set aside: then all SEGs are read again, and the
            labels' notes tell which ones are labels already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._searched, self._records = _read(path)

    def all(self) -> list[SegmentationRecord]:
        """All records, the oldest first."""
        return sorted(self._records.values(), key=lambda record: (record.found, record.sop_uid))

    def of_study(self, study_uid: str) -> list[SegmentationRecord]:
        """The records of a study, by its Study Instance UID."""
        return [record for record in self.all() if record.study_uid == study_uid]

    def get(self, sop_uid: str) -> SegmentationRecord:
        """The record of a SEG. Raises UnknownNameError if there is none."""
        if sop_uid not in self._records:
            raise UnknownNameError(
                f"segmentation {sop_uid!r}",
                expected="the SOP Instance UID of a DICOM SEG that Zeus found in the PACS",
                remedy="GET /zeus/segmentations lists them",
            )
        return self._records[sop_uid]

    def __contains__(self, sop_uid: object) -> bool:
        return sop_uid in self._records

    def put(self, record: SegmentationRecord) -> None:
        """Store a record in the place of an earlier one of the same SEG."""
        with self._lock:
            self._records = {**self._records, record.sop_uid: record}
            self._save()

    def searched(self, study_uid: str) -> tuple[str, ...]:
        """The state in which a study was searched last; empty if it never was."""
        return self._searched.get(study_uid, ())

    @property
    def searched_studies(self) -> frozenset[str]:
        """Study Instance UIDs of all searched studies."""
        return frozenset(self._searched)

    def close_study(
        self, study_uid: str, state: tuple[str, ...], *, present: Collection[str]
    ) -> None:
        """Store that a study was searched.

        Args:
            study_uid: its Study Instance UID.
            state: the state that the PACS told.
            present: Series Instance UIDs of the SEGs that the PACS has. The others are gone.
        """
        with self._lock:
            self._searched = {**self._searched, study_uid: state}
            self._records = {
                sop_uid: replace(record, is_gone=record.series_uid not in present)
                if record.study_uid == study_uid
                else record
                for sop_uid, record in self._records.items()
            }
            self._save()

    def _save(self) -> None:
        content = {
            "searched": self._searched,
            "segmentations": [asdict(record) for record in self._records.values()],
        }
        write_text_atomically(self._path, json.dumps(content, indent=1) + "\n")


Searched = Mapping[str, tuple[str, ...]]
Records = Mapping[str, SegmentationRecord]


def _read(path: Path) -> tuple[Searched, Records]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        records = [_record(item) for item in content["segmentations"]]
        searched = {str(uid): tuple(state) for uid, state in content["searched"].items()}
    except FileNotFoundError:
        return {}, {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        logger.warning("Zeus: %s is damaged; the segmentations of the PACS are read again", path)
        return {}, {}
    return searched, {record.sop_uid: record for record in records}


def _record(item: Mapping[str, object]) -> SegmentationRecord:
    known = {field.name for field in fields(SegmentationRecord)}
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in item.items()}
    return SegmentationRecord(**{n: v for n, v in values.items() if n in known})  # type: ignore[arg-type]
