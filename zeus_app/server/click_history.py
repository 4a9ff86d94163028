"""What each user clicked in each study, kept on disk: undone step by step, forgotten on request."""

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zeus_app.clicks.pointing import Clicks
from zeus_app.files import write_text_atomically
from zeus_app.server.click_request import ClickRequest
from zeus_app.server.label_history import folder_name

STEPS = 100
"""Most steps that are kept of one user in one study."""


@dataclass(frozen=True)
class Step:
    """What had been said when an answer was given.

    Attributes:
        labels: label name -> clicks.
        slice_index: as in the request.
        sequence: on whose grid the clicks are.
    """

    labels: Mapping[str, Clicks]
    slice_index: int | None
    sequence: str


_STEPS = TypeAdapter(list[Step])


class ClickHistory:
    """Steps by user and study; <user>/<study>.json, each written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def place(self, user: str, study: str) -> Path:
        """The folder of one user's uploads for a study; also names the file of steps."""
        mark = hashlib.blake2b(user.encode(), digest_size=8).hexdigest()
        return self._folder / mark / folder_name(study)

    def steps(self, user: str, study: str) -> list[Step]:
        """The oldest first; none of a file that cannot be read."""
        path = self._file(user, study)
        try:
            return _STEPS.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return []

    def follow(
        self, request: ClickRequest, study: str, sequence: str, *, keep: bool = True
    ) -> Step | None:
        """Take a request into the history, and say what counts now.

        Args:
            request: what was said.
            study: its id.
            sequence: on whose grid the clicks are.
            keep: not for a guest, whose id no later request has.

        Returns:
            Everything said so far; None when nothing is left of it.
        """
        with self._lock:
            steps = [] if request.reset else self.steps(request.user, study)
            if request.undo:
                steps = steps[:-1]
            elif request.labels:
                before = steps[-1] if steps else None
                step = Step(request.labels, request.slice_index, sequence)
                if request.refine and before is not None and before.sequence == sequence:
                    step = _upon(before, step)
                if step != before:  # a request that came twice is one step
                    steps.append(step)
            if keep:
                self._keep(request.user, study, steps[-STEPS:])
            return steps[-1] if steps else None

    def _keep(self, user: str, study: str, steps: list[Step]) -> None:
        path = self._file(user, study)
        if steps:
            write_text_atomically(path, json.dumps(_STEPS.dump_python(steps, mode="json")))
        else:
            path.unlink(missing_ok=True)

    def _file(self, user: str, study: str) -> Path:
        return self.place(user, study).with_suffix(".json")


def _upon(before: Step, new: Step) -> Step:
    labels: dict[str, Clicks] = dict(before.labels)
    for name, clicks in new.labels.items():
        known = labels.get(name, Clicks())
        labels[name] = Clicks(
            known.foreground + clicks.foreground,
            known.background + clicks.background,
            clicks.box or known.box,
        )
    newest = before.slice_index if new.slice_index is None else new.slice_index
    return Step(labels, newest, new.sequence)


def as_json(step: Step | None) -> dict[str, Any]:
    """What clients see of what counts."""
    if step is None:
        return {}
    shown: dict[str, Any] = TypeAdapter(dict[str, Clicks]).dump_python(
        dict(step.labels), mode="json"
    )
    return shown
