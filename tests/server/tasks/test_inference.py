"""A task gets the image that the server resolved, and no client can put another in its place."""

import errno
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zeus_app.errors import BusyError, InputError
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.tasks.inference import (
    RESOLVED_IMAGE,
    resolved_image,
    run_inference,
    save_prediction,
    skip_failed,
)
from zeus_app.types import StudyFiles
from zeus_app.volumes.sources import NiftiSource


def image(study: str) -> ResolvedImage:
    files = StudyFiles(study, {"T2": NiftiSource(Path("t2.nii"))}, patient=study)
    return ResolvedImage(files, "T2", whole=True, is_temporary=False)


class Task:
    """Remembers the image of the last request."""

    image: ResolvedImage

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.image = resolved_image(request)
        return "mask.nii.gz", {}


def test_a_task_gets_the_image_that_was_resolved() -> None:
    task, alpha = Task(), image("alpha")
    unused: Any = None
    result = run_inference({"zeus": task}, {"model": "zeus"}, alpha, unused)
    assert task.image is alpha
    assert result["file"] == "mask.nii.gz"


def test_an_image_that_a_client_puts_into_its_request_is_overwritten() -> None:
    task, alpha = Task(), image("alpha")
    unused: Any = None
    request = {"model": "zeus", RESOLVED_IMAGE: "/etc/passwd"}
    run_inference({"zeus": task}, request, alpha, unused)
    assert task.image is alpha


def test_a_batch_goes_on_after_a_study_that_cannot_be_used() -> None:
    def infer(request: Mapping[str, Any], datastore: object) -> dict[str, Any]:
        raise InputError("a volume of NaN", expected="numbers", remedy="export it again")

    assert "a volume of NaN" in skip_failed(infer)({"image": "alpha"}, None)["error"]


def test_a_batch_waits_while_too_many_inferences_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses_s: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses_s.append)

    def infer(request: Mapping[str, Any], datastore: object) -> dict[str, Any]:
        if len(pauses_s) < 2:
            raise BusyError("8 inferences wait already", retry_after_s=[60, 3][len(pauses_s)])
        return {"file": "mask.nii.gz"}

    assert skip_failed(infer)({"image": "alpha"}, None) == {"file": "mask.nii.gz"}
    assert pauses_s == [5, 3]  # seconds; at most 5, so that a freed place is soon taken


class FullDisk:
    """Where no prediction can be saved."""

    def save(self, segmentation: object, params: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/state/originals/alpha")


def test_a_full_disk_does_not_take_the_answer_from_the_client() -> None:
    disk: Any = FullDisk()
    segmentation: Any = SimpleNamespace(study_id="alpha")
    note = save_prediction(disk, segmentation, {})
    assert note == {
        "not_saved": "the server could not keep this prediction: No space left on device"
    }
