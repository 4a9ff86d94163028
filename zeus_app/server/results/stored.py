"""The DICOM objects that Zeus made, on disk. None is ever deleted.

A study is found by its Study Instance UID, so that its results follow it to another folder or PACS.
Its folder holds <SOP Instance UID>.dcm for each object. One JSON file lists the SEG and SR of a
mask. It is written last, so that both appear at once. An object without a JSON file counts for
nothing.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pydicom
from pydantic import TypeAdapter, ValidationError
from pydicom.dataset import Dataset

from zeus_app.errors import UnknownNameError
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.storage.file_lock import file_lock
from zeus_app.storage.notes import read_note, write_note
from zeus_app.storage.state import folder_name

Kind = Literal["SEG", "SR"]
DeliveryState = Literal["unsent", "sent", "failed", "gone"]
_PROBLEMS = "problems.note"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """Whether an object is in the PACS.

    Attributes:
        state: unsent (never tried), sent, failed, or gone (the PACS had it and has lost it).
        reason: why not, or what the PACS said; for users.
        ts: when this was found, in seconds since 1970.
    """

    state: DeliveryState = "unsent"
    reason: str = ""
    ts: float = 0.0


@dataclass(frozen=True)
class ResultObject:
    """One DICOM object.

    Attributes:
        kind: SEG or SR.
        sop_uid, series_uid: its UIDs.
        delivery: whether it is in the PACS.
    """

    kind: Kind
    sop_uid: str
    series_uid: str
    delivery: Delivery = Delivery()


@dataclass(frozen=True)
class Result:
    """The SEG and SR of one mask.

    Attributes:
        identity: hash of all that they were made of. The same mask is not made twice.
        tag: the label's tag; "original" for a prediction.
        version: number of the label's version, or the prediction's checkpoint.
        made_by: DICOM's Segment Algorithm Type.
        basis: how `made_by` is known, for users.
        author: the user who submitted the label; empty if unknown.
        ts: when they were made, in seconds since 1970.
        study_uid: Study Instance UID.
        objects: the SEG first.
        notes: what was changed or left out, for users.
    """

    identity: str
    tag: str
    version: str
    made_by: str
    basis: str
    author: str
    ts: float
    study_uid: str
    objects: tuple[ResultObject, ...]
    notes: tuple[str, ...] = ()

    def with_object(self, changed: ResultObject) -> "Result":
        """The same result with one object in a new state."""
        objects = tuple(changed if o.sop_uid == changed.sop_uid else o for o in self.objects)
        return replace(self, objects=objects)


_RESULT = TypeAdapter(Result)


class StoredResults:
    """The results of one target.

    Args:
        folder: of all studies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of_study(self, study_uid: str) -> list[Result]:
        """The results of a study, the oldest first. A damaged JSON file is logged and skipped."""
        return sorted(self._read(study_uid), key=lambda result: result.ts)

    def with_identity(self, study_uid: str, identity: str) -> Result | None:
        """The result of a mask, if its files are there."""
        return next(
            (
                result
                for result in self.of_study(study_uid)
                if result.identity == identity
                and all(self._path(study_uid, one).exists() for one in result.objects)
            ),
            None,
        )

    def find(self, study_uid: str, sop_uid: str) -> tuple[Result, ResultObject]:
        """The object that a client names.

        Raises:
            UnknownNameError: the study has no such object.
        """
        results = self.of_study(study_uid)
        for result in results:
            for one in result.objects:
                if one.sop_uid == sop_uid:
                    return result, one
        count = sum(len(result.objects) for result in results)
        raise UnknownNameError(
            f"study {study_uid} has no result {sop_uid[:64]!r}",
            expected=f"the SOP Instance UID of one of its {count} results",
            remedy=f"list them with GET /zeus/results/{study_uid}",
        )

    def file(self, study_uid: str, sop_uid: str) -> Path:
        """The file of an object.

        Raises:
            UnknownNameError: the study has no such object, or its file was removed.
        """
        path = self._path(study_uid, self.find(study_uid, sop_uid)[1])
        if not path.exists():
            raise UnknownNameError(
                f"result {sop_uid} of study {study_uid}, whose file was removed",
                expected="the files that Zeus wrote, in its state folder",
                remedy=f"make it again with POST /zeus/results/{study_uid}",
            )
        return path

    def series(self, study_uid: str) -> dict[str, tuple[Path, ...]]:
        """Series Instance UID -> files, of all objects of a study."""
        return {
            one.series_uid: (path,)
            for result in self.of_study(study_uid)
            for one in result.objects
            if (path := self._path(study_uid, one)).exists()
        }

    def add(self, result: Result, objects: Mapping[str, Dataset]) -> None:
        """Store the objects of a mask.

        Args:
            result: what is known of them.
            objects: SOP Instance UID -> object.
        """
        for one in result.objects:
            write = partial(_write_object, data=objects[one.sop_uid])
            write_atomically(self._path(result.study_uid, one), write)
        self._save(result)

    def update(
        self, study_uid: str, sop_uid: str, change: Callable[[Delivery], Delivery]
    ) -> ResultObject:
        """Change what is known about an object in the PACS.

        Raises:
            UnknownNameError: the study has no such object.
        """
        with self.lock(study_uid):
            result, one = self.find(study_uid, sop_uid)
            changed = replace(one, delivery=change(one.delivery))
            if changed != one:
                self._save(result.with_object(changed))
        return changed

    def problems(self, study_uid: str) -> dict[str, Any]:
        """Tag -> {"reason", "ts"} of the newest result that could not be made."""
        return read_note(self._folder_of(study_uid) / _PROBLEMS)

    def note_problem(self, study_uid: str, tag: str, problem: Mapping[str, Any] | None) -> None:
        """Note why the result of a tag could not be made, or that it could be made (None)."""
        with self.lock(study_uid):
            before = self.problems(study_uid)
            after = {key: value for key, value in before.items() if key != tag}
            if problem is not None:
                after[tag] = dict(problem)
            if after != before:
                write_note(self._folder_of(study_uid) / _PROBLEMS, after)

    def lock(self, study_uid: str) -> AbstractContextManager[None]:
        """Wait until no other thread or process changes the results of a study."""
        return file_lock(self._folder_of(study_uid) / ".lock")

    def making(self, study_uid: str) -> AbstractContextManager[None]:
        """Wait until no other thread or process makes results of a study."""
        return file_lock(self._folder_of(study_uid) / ".making.lock")

    def sending(self) -> AbstractContextManager[None]:
        """Wait until no other thread or process sends a result."""
        return file_lock(self._folder / ".sending.lock")

    def _read(self, study_uid: str) -> Iterator[Result]:
        for path in self._folder_of(study_uid).glob("*.json"):
            try:
                yield _RESULT.validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                logger.warning("Zeus: the result %s is skipped: %s", path, type(error).__name__)

    def _save(self, result: Result) -> None:
        path = self._path(result.study_uid, result.objects[0]).with_suffix(".json")
        write_text_atomically(path, json.dumps(asdict(result), indent=1))

    def _folder_of(self, study_uid: str) -> Path:
        return self._folder / folder_name(study_uid)

    def _path(self, study_uid: str, one: ResultObject) -> Path:
        """The file of an object. Its UID is the one in Zeus's JSON file, never a client's text."""
        return self._folder_of(study_uid) / f"{folder_name(one.sop_uid)}.dcm"


def _write_object(path: Path, data: Dataset) -> None:
    pydicom.dcmwrite(path, data, write_like_original=False)
