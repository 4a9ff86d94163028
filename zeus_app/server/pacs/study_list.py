"""The list of the MR studies of a PACS: one entry a study, from QIDO, kept on the disk.

Nothing is asked for a single series or image. Patient IDs become pseudonyms at once.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from zeus_app.dicom.dicom_studies import ANONYMOUS_IDS
from zeus_app.dicom.web.client import DicomWeb, Item, text_of, texts_of
from zeus_app.dicom.web.paths import is_uid
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.pseudonyms import Pseudonyms

MR = "MR"
_FILTER = {"ModalitiesInStudy": MR}
_COUNTS = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
_FIELDS = ("PatientID", "StudyDate", "StudyTime", "ModalitiesInStudy", *_COUNTS)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PacsStudy:
    """What the list of a PACS says about one study.

    Attributes:
        uid: Study Instance UID.
        patient: pseudonym of the patient; empty if the PACS names none.
        state: what changes with the study: its date and time, and its numbers of series and images.
    """

    uid: str
    patient: str = field(repr=False)
    state: tuple[str, ...]


class PacsList:
    """The studies of a PACS.

    Args:
        web: the PACS.
        path: the JSON file that keeps the list for the next start.
        pseudonyms: of the patients.

    Attributes:
        studies: Study Instance UID -> study.
        took_s: how long the newest whole list took, in seconds.
    """

    def __init__(self, web: DicomWeb, path: Path, pseudonyms: Pseudonyms) -> None:
        self._web, self._path, self._pseudonyms = web, path, pseudonyms
        self._lock = threading.Lock()
        self.studies: Mapping[str, PacsStudy] = {}
        self.took_s = 0.0

    @property
    def _name(self) -> str:
        """Tells lists of other places and filters apart."""
        return " ".join([str(self._web), *(f"{k}={v}" for k, v in self._web.filters.items())])

    def ask(self) -> None:
        """Ask for the whole list. Raises PacsError; the list is then as it was."""
        began_s = time.monotonic()
        found = self._asked({})
        with self._lock:
            self.studies = found
        self.took_s = time.monotonic() - began_s
        self._save()

    def ask_for_recent(self, *, days: int = 1) -> None:
        """Ask for the studies since yesterday alone, and add them. Raises PacsError.

        Args:
            days: how many days before today count.
        """
        if "StudyDate" in self._web.filters:
            self.ask()
            return
        today = date.today()
        first, last = today - timedelta(days=days), today + timedelta(days=1)  # of time zones
        found = self._asked({"StudyDate": f"{first:%Y%m%d}-{last:%Y%m%d}"})
        if all(self.studies.get(uid) == study for uid, study in found.items()):
            return
        with self._lock:
            self.studies = {**self.studies, **found}
        self._save()

    def read_saved(self) -> float | None:
        """Take the list of an earlier start; its age in seconds, or None if there is none."""
        try:
            age_s = max(0.0, time.time() - self._path.stat().st_mtime)
            saved = json.loads(self._path.read_text(encoding="utf-8"))
            if saved["pacs"] != self._name:
                return None
            studies = [
                PacsStudy(str(one["uid"]), str(one["patient"]), tuple(map(str, one["state"])))
                for one in saved["studies"]
            ]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            logger.warning("Zeus: the saved list of the PACS is damaged; it is asked for again")
            return None
        self.studies = {study.uid: study for study in studies if is_uid(study.uid)}
        return age_s

    def forget(self, uid: str) -> None:
        """Take a study off the list, because the PACS no longer has it."""
        with self._lock:
            self.studies = {name: one for name, one in self.studies.items() if name != uid}

    def _asked(self, filters: Mapping[str, str]) -> dict[str, PacsStudy]:
        wanted = {**self._web.filters, **_FILTER, **filters}
        items = self._web.studies(wanted, _FIELDS)
        return {study.uid: study for study in map(self._study, _of_mr(items))}

    def _study(self, item: Item) -> PacsStudy:
        patient = pseudonym_of(text_of(item, "PatientID"), self._pseudonyms)
        state = ("StudyDate", "StudyTime", *_COUNTS)
        return PacsStudy(
            text_of(item, "StudyInstanceUID"), patient, tuple(text_of(item, name) for name in state)
        )

    def _save(self) -> None:
        saved: dict[str, Any] = {
            "pacs": self._name,
            "studies": [asdict(study) for study in self.studies.values()],
        }
        try:
            write_text_atomically(self._path, json.dumps(saved))
        except OSError as error:
            logger.warning("Zeus: the list of the PACS is not saved: %s", error.strerror)


def pseudonym_of(patient_id: str, pseudonyms: Pseudonyms) -> str:
    """The pseudonym of a Patient ID; empty without one, and for the ID of many."""
    known = patient_id and patient_id.lower() not in ANONYMOUS_IDS
    return pseudonyms.of(patient_id) if known else ""


def _of_mr(items: Iterable[Item]) -> Iterable[Item]:
    """The studies that may hold MR: a PACS may ignore the filter, or hide the modalities."""
    odd = 0
    for item in items:
        modalities = texts_of(item, "ModalitiesInStudy")
        if not is_uid(text_of(item, "StudyInstanceUID")):
            odd += 1
        elif not modalities or MR in modalities:
            yield item
    if odd:
        logger.warning("Zeus: the PACS lists %d studies without a valid UID", odd)
