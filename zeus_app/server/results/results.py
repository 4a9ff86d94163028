"""The DICOM results of a server: the one object that routes and other parts use."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zeus_app.labels.versions import FINAL, ORIGINAL
from zeus_app.server.interactive.click_history import ClickHistory
from zeus_app.server.results.masks import Masks, MaskVersion
from zeus_app.server.results.objects import MaskObjects, make_objects, refuse_other_files
from zeus_app.server.results.queue import ResultQueue, WaitUntilIdle
from zeus_app.server.results.sending import ResultPacs, Sending
from zeus_app.server.results.stored import Delivery, Kind, Result, ResultObject, StoredResults
from zeus_app.server.studies.chosen_images import choose_images
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.tasks.chosen_sequences import refuse_lacking
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder
from zeus_app.targets import Target

FindPacs = Callable[[], ResultPacs | None]
_GONE = "the PACS had it and no longer has it; send it again if it shall be there"


@dataclass(frozen=True)
class MadeResult:
    """The answer to a client that asks for a result.

    Attributes:
        result: the SEG and SR, with what the PACS said.
        is_new: False if they were made before, of the same mask.
    """

    result: Result
    is_new: bool


class DicomResults:
    """Makes, stores, lists and sends the SEG and SR of labels and predictions.

    Args:
        config: when results are made, and whether they are sent.
        target: the labels.
        state: has the folder of results.
        datastore: studies, labels and predictions.
        clicks: the prompts of users.
        pacs: returns the PACS of the studies; None without one.
        idle: waits until no other heavy job runs, before its body; for results of the background.
    """

    def __init__(
        self,
        config: ZeusConfig,
        target: Target,
        state: StateFolder,
        *,
        datastore: StudyDatastore,
        clicks: ClickHistory,
        pacs: FindPacs = lambda: None,
        idle: WaitUntilIdle = nullcontext,
    ) -> None:
        self._config, self._target, self._store = config, target, datastore
        self._masks = Masks(datastore, clicks, target)
        self._stored = StoredResults(state.results)
        self._sending = Sending(self._stored, pacs, is_told=config.pacs_write)
        self._queue = ResultQueue(self.make, self._note_problem, idle)

    def make(self, study: str, tag: str = "", sequences: Collection[str] = ()) -> MadeResult:
        """Make the SEG and SR of a study's newest mask, and send them if the settings say so.

        The same mask is not made twice, and a failed sending is not tried again.

        Args:
            study: an image id.
            tag: of a label, or "original" for the prediction; empty for the final label, or else
                the prediction.
            sequences: sequences to whose images the SEG refers beside the reference; empty for
                those that the settings say.

        Raises:
            UnknownNameError: there is no such study or mask.
            InputError: the study is no DICOM, or cannot be used.
        """
        resolved = self._store.catalogue.resolve(study)
        refuse_other_files(resolved.files, tag=tag)
        refuse_lacking(sequences, resolved.files)
        with self._stored.making(resolved.files.study_uid):
            mask = self._masks.newest(resolved.study, tag)
            by_settings = mask.sequences if self._config.refer_to_all_series else ()
            mask = replace(mask, sequences=tuple(sequences) or by_settings)
            identity = mask.identity(
                sequences=sorted(mask.sequences), labels=self._target.label_values,
                empty=self._config.keep_empty_frames,
            )  # fmt: skip
            known = self._stored.with_identity(resolved.files.study_uid, identity)
            result = known or self._make(resolved, mask, identity)
        self._stored.note_problem(result.study_uid, mask.tag, None)
        self._sending.send_new(result)
        return MadeResult(self._newest_state(result), is_new=known is None)

    def _make(self, resolved: ResolvedImage, mask: MaskVersion, identity: str) -> Result:
        chosen = choose_images(resolved, dict(mask.images), self._target.sequence_names)
        made = make_objects(
            mask, chosen.files, self._target, keep_empty_frames=self._config.keep_empty_frames
        )
        result = _result_of(mask, made, identity, study_uid=resolved.files.study_uid)
        datasets = {str(data.SOPInstanceUID): data for data in _datasets(made).values()}
        self._stored.add(result, datasets)
        return result

    def send(self, study: str, sop_uid: str) -> dict[str, Any]:
        """Send one object to the PACS because a client asks; its state afterwards, as JSON.

        Raises:
            UnknownNameError: there is no such study or object.
            InputError: there is no PACS, or the settings do not allow to write to it.
        """
        study, study_uid = self._named(study)
        self._sending.send_again(study_uid, sop_uid)
        result, one = self._stored.find(study_uid, sop_uid)
        return self._object_as_json(study, result, one)

    def listed(self, study: str) -> dict[str, Any]:
        """The results of a study as JSON, the oldest first, and what could not be made."""
        study, study_uid = self._named(study)
        results = self._stored.of_study(study_uid)
        problems = self._stored.problems(study_uid)
        return {
            "study": study,
            "results": [entry for result in results for entry in self.as_json(study, result)],
            "problems": [{"tag": tag, **problem} for tag, problem in problems.items()],
        }

    def file(self, study: str, sop_uid: str) -> Path:
        """The file of an object. Raises UnknownNameError."""
        return self._stored.file(self._named(study)[1], sop_uid)

    def series(self, study_uid: str) -> dict[str, tuple[Path, ...]]:
        """Series Instance UID -> files, of all results of a study. The server's DICOMweb asks."""
        return self._stored.series(study_uid)

    def after_label(self, study: str) -> None:
        """Make the result of a new final label in the background, if the settings say so."""
        if self._config.dicom_results in ("labels", "all"):
            self._enqueue(study, FINAL)

    def after_answer(self, resolved: ResolvedImage, answer: Mapping[str, Any]) -> None:
        """Make the result of a new prediction in the background, if the settings say so.

        Args:
            resolved: the image of the inference.
            answer: from `run_inference`. An answer to clicks, or for a file of the request, is no
                prediction. One that was saved as a final label is a label.
        """
        params = answer["params"]
        is_saved = not resolved.is_temporary and "not_saved" not in params
        if answer["tag"] == FINAL and answer["label"] == resolved.study:
            self.after_label(resolved.study)
        elif is_saved and "checkpoint" in params and self._config.dicom_results == "all":
            self._enqueue(resolved.study, ORIGINAL)

    def wait(self) -> None:
        """Wait for the results of the background. A batch process calls it before it ends."""
        self._queue.wait()

    def compare_segs_with_pacs(
        self, study_uid: str, series_uids: Collection[str], asked: float
    ) -> None:
        """Note which SEGs the PACS has and which it has lost. Nothing is sent.

        Args:
            study_uid: Study Instance UID.
            series_uids: Series Instance UIDs of all SEGs that the PACS has of this study. Each
                result is a series of its own.
            asked: when the PACS was asked, in seconds since 1970. What was sent since then is left
                out.
        """
        for result in self._stored.of_study(study_uid):
            for one in result.objects:
                if one.kind == "SEG" and one.delivery.ts < asked:
                    self._compare(study_uid, one, is_there=one.series_uid in series_uids)

    def _compare(self, study_uid: str, one: ResultObject, *, is_there: bool) -> None:
        now = time.time()
        changed = {
            ("sent", False): Delivery("gone", _GONE, now),
            ("gone", True): Delivery("sent", "the PACS has it", now),
            ("failed", True): Delivery("sent", "the PACS has it", now),
        }.get((one.delivery.state, is_there))
        if changed:
            self._stored.update(study_uid, one.sop_uid, lambda _: changed)

    def as_json(self, study: str, result: Result) -> list[dict[str, Any]]:
        """The objects of a result as clients see them; `study` is the study's id."""
        return [self._object_as_json(study, result, one) for one in result.objects]

    def _object_as_json(self, study: str, result: Result, one: ResultObject) -> dict[str, Any]:
        delivery = one.delivery
        address = f"/zeus/results/{quote(study, safe='')}/{one.sop_uid}"
        can_send = not self._sending.obstacle and delivery.state != "sent"
        return {
            "kind": one.kind,
            "sop_uid": one.sop_uid,
            "series_uid": one.series_uid,
            "tag": result.tag,
            "version": result.version,
            "made_by": result.made_by,
            "basis": result.basis,
            "author": result.author,
            "ts": result.ts,
            "notes": list(result.notes),
            "sent": delivery.state == "sent",
            "delivery": delivery.state,
            "reason": delivery.reason or self._sending.obstacle or "not sent yet",
            "download": address,
            **({"send": f"{address}/send"} if can_send else {}),
        }

    def _enqueue(self, study: str, tag: str) -> None:
        if self._uid_of(study):  # other studies have no DICOM results
            self._queue.add(study, tag)

    def _note_problem(self, study: str, tag: str, reason: str) -> None:
        problem = {"reason": reason, "ts": time.time()}
        self._stored.note_problem(self._uid_of(study) or study, tag, problem)

    def _named(self, image_id: str) -> tuple[str, str]:
        """The id of the study that an image id names, and the name under which results are stored.

        Raises:
            InputError, UnknownNameError: there is no such study, or it cannot be used.
        """
        study = self._store.catalogue.study_of(image_id)
        return study, self._uid_of(study) or study

    def _uid_of(self, study: str) -> str:
        """The Study Instance UID of a study; empty for other files."""
        files = self._store.catalogue.studies.get(study)
        return files.study_uid if files else ""

    def _newest_state(self, result: Result) -> Result:
        """The result with what came of its sending."""
        return self._stored.find(result.study_uid, result.objects[0].sop_uid)[0]


def _datasets(made: MaskObjects) -> dict[Kind, Any]:
    return {"SEG": made.segmentation, "SR": made.report}


def _result_of(mask: MaskVersion, made: MaskObjects, identity: str, *, study_uid: str) -> Result:
    return Result(
        identity=identity,
        tag=mask.tag,
        version=mask.version,
        made_by=mask.authorship.made_by,
        basis=mask.basis,
        author=mask.authorship.creator,
        ts=time.time(),
        study_uid=study_uid,
        objects=tuple(
            ResultObject(kind, str(data.SOPInstanceUID), str(data.SeriesInstanceUID))
            for kind, data in _datasets(made).items()
        ),
        notes=made.notes,
    )
