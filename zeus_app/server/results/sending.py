"""Send results to the PACS by STOW-RS. Nothing is sent twice unless a client asks again."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pydicom
from pydicom.dataset import Dataset

from zeus_app.errors import InputError, PacsError
from zeus_app.server.results.stored import Delivery, Result, ResultObject, StoredResults

NO_PACS = "this server has no PACS; its own DICOMweb shows the result with the study"
NOT_TOLD = "pacs_write is false, so nothing is written to the PACS"
WITHOUT_SEG = "its SEG is not in the PACS, and it refers to the SEG"


class ResultPacs(Protocol):
    """A PACS that takes objects; see `zeus_app.dicom.web.client.DicomWeb`."""

    def store(self, data: pydicom.Dataset) -> None:
        """Store an object. Raises PacsError."""

    def has_instance(self, study_uid: str, series_uid: str, sop_uid: str) -> bool:
        """Whether the PACS has an object. Raises PacsError."""


class Sending:
    """Sends objects and notes what came of it.

    Args:
        stored: the results.
        pacs: returns the PACS; None without one.
        is_told: whether the settings allow to write to it.
    """

    def __init__(
        self, stored: StoredResults, pacs: Callable[[], ResultPacs | None], *, is_told: bool
    ) -> None:
        self._stored, self._pacs, self._is_told = stored, pacs, is_told

    @property
    def obstacle(self) -> str:
        """Why nothing is sent, for users; empty if results are sent."""
        if self._pacs() is None:
            return NO_PACS
        return "" if self._is_told else NOT_TOLD

    def send_new(self, result: Result) -> None:
        """Send the objects of a result that nobody has tried to send yet, the SEG first."""
        pacs = self._pacs()
        if pacs is None or self.obstacle:
            return
        with self._stored.sending():
            arrived = True
            for one in result.objects:
                known = self._stored.find(result.study_uid, one.sop_uid)[1]  # as it is now
                if arrived and known.delivery.state == "unsent":
                    known = self._send(pacs, result, known)
                elif not arrived and known.delivery.state == "unsent":
                    known = self._note(result, known, Delivery("failed", WITHOUT_SEG))
                arrived = arrived and known.delivery.state == "sent"

    def send_again(self, study_uid: str, sop_uid: str) -> None:
        """Send one object because a client asks. One that the PACS has is not sent.

        Raises:
            UnknownNameError: the study has no such object.
            InputError: there is no PACS, or the settings do not allow to write to it.
        """
        result, one = self._stored.find(study_uid, sop_uid)
        pacs = self._pacs()
        if pacs is None or self.obstacle:
            raise InputError(
                f"sending result {one.sop_uid}: {self.obstacle}",
                expected="studies of a PACS, and the setting pacs_write=true",
                remedy="download it with GET"
                f" /zeus/results/{study_uid}/{one.sop_uid}, or start with --set pacs_write=true",
            )
        with self._stored.sending():
            self._send(pacs, result, one)

    def _send(self, pacs: ResultPacs, result: Result, one: ResultObject) -> ResultObject:
        path = self._stored.file(result.study_uid, one.sop_uid)
        if one.delivery.state != "unsent" and _has(pacs, result, one):
            return self._note(result, one, Delivery("sent", "the PACS has it already"))
        return self._note(result, one, _store(pacs, path, result, one))

    def _note(self, result: Result, one: ResultObject, delivery: Delivery) -> ResultObject:
        timed = replace(delivery, ts=time.time())
        return self._stored.update(result.study_uid, one.sop_uid, lambda _: timed)


def _store(pacs: ResultPacs, path: Path, result: Result, one: ResultObject) -> Delivery:
    data: Dataset = pydicom.dcmread(path)
    try:
        pacs.store(data)
    except PacsError as error:
        if _has(pacs, result, one):
            return Delivery("sent", "the PACS has it already")
        return Delivery("failed", str(error))
    return Delivery("sent", "the PACS stored it")


def _has(pacs: ResultPacs, result: Result, one: ResultObject) -> bool:
    """Whether the PACS has an object. One that cannot be asked has it not."""
    try:
        return pacs.has_instance(result.study_uid, one.series_uid, one.sop_uid)
    except PacsError:
        return False
