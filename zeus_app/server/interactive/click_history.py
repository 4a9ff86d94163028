"""What each user clicked in each study, kept on disk: undone step by step, forgotten on request."""

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zeus_app.errors import InputError
from zeus_app.labels.versions import folder_name
from zeus_app.prompts.types import Clicks, Voxel
from zeus_app.server.interactive.click_request import ClickRequest
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.types import Grid

logger = logging.getLogger(__name__)

STEPS = 100
"""Most steps that are kept of one user in one study."""


@dataclass(frozen=True)
class Step:
    """What had been said when an answer was given.

    Attributes:
        labels: label name -> clicks.
        at: the newest click, whose slice a 2-D answer is of; None when nothing was said.
        sequence: on whose grid all of them are.
    """

    labels: Mapping[str, Clicks]
    sequence: str
    at: Voxel | None = None


_STEPS = TypeAdapter(list[Step])


@dataclass(frozen=True)
class Seen:
    """The image that a request is about.

    Attributes:
        sequence: whose grid its clicks are on.
        sequences: all of its study.
        grid_of: gives the grid of one.
    """

    sequence: str
    sequences: Collection[str]
    grid_of: Callable[[str], Grid]

    def brought(self, step: Step) -> Step:
        """The same places in voxels of this image."""
        if step.sequence == self.sequence:
            return step
        here, there = self.grid_of(self.sequence), self.grid_of(step.sequence)
        labels = {name: clicks.on(here, there) for name, clicks in step.labels.items()}
        at = Clicks((step.at,)).on(here, there).foreground[0] if step.at else None
        return Step(labels, self.sequence, at)


class ClickHistory:
    """Steps by user and study; <user>/<study>.json, each written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def uploads_folder(self, user: str, study: str) -> Path:
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

    def take(self, request: ClickRequest, study: str, seen: Seen) -> int:
        """Keep a request that was answered; returns how many steps there are now.

        The steps are looked up again, lest one that was taken meanwhile is lost.
        """
        with self._lock:
            steps = steps_after(self.steps(request.user, study), request, seen)[-STEPS:]
            try:
                self._keep(request.user, study, steps)
            except OSError as error:  # the answer is worth more than its history
                logger.warning("the clicks on study %s are not kept: %s", study, error)
            return len(steps)

    def _keep(self, user: str, study: str, steps: list[Step]) -> None:
        path = self._file(user, study)
        if steps:
            write_text_atomically(path, json.dumps(_STEPS.dump_python(steps, mode="json")))
        else:
            path.unlink(missing_ok=True)

    def _file(self, user: str, study: str) -> Path:
        return self.uploads_folder(user, study).with_suffix(".json")


def steps_after(steps: list[Step], request: ClickRequest, seen: Seen) -> list[Step]:
    """The steps once a request is taken in; what counts is the last one.

    Raises:
        InputError: it names a slice that the image does not have.
    """
    # A study may have lost a sequence since, or the server was told to look at others.
    steps = [] if request.reset else [one for one in steps if one.sequence in seen.sequences]
    if request.undo:
        return steps[:-1]
    before = seen.brought(steps[-1]) if steps else Step({}, seen.sequence)
    exactly = request.says and not request.refine
    labels = request.labels if exactly else _together(before.labels, request.labels)
    if labels == before.labels and request.slice_index is None:
        return steps  # nothing new, or it came twice
    step = Step(labels, seen.sequence, newest(request, before, seen.grid_of(seen.sequence)))
    return [*(steps[:-1] if labels == before.labels else steps), step]


def newest(request: ClickRequest, before: Step, grid: Grid) -> Voxel | None:
    """The place that a request is about: a click that was not there before, or its last.

    Where it names a slice (of the third axis) a click that lies there, or the middle of its box, as
    3D Slicer names a box's slice by a distance in mm, or the middle of that slice.

    Raises:
        InputError: a slice that the image does not have.
    """
    at, clicks = request.slice_index, _clicks(request.labels)
    boxes = [one.box for one in request.labels.values() if one.box]
    if at is None:
        known = set(_clicks(before.labels))
        new = [voxel for voxel in clicks if voxel not in known]
        return next(reversed([*map(_middle, boxes), *(new or clicks)]), None)
    if there := [voxel for voxel in clicks if round(voxel[2]) == at]:
        return there[-1]
    if boxes:
        return _middle(boxes[-1], at)
    if at >= grid.shape[2]:
        raise InputError(
            f"slice {at}", expected=f"0 to {grid.shape[2] - 1}", remedy="count slices from 0"
        )
    return (grid.shape[0] - 1) / 2, (grid.shape[1] - 1) / 2, float(at)


def _clicks(labels: Mapping[str, Clicks]) -> list[Voxel]:
    """Beside the labels, then on them."""
    said = list(labels.values())
    beside = [voxel for clicks in said for voxel in clicks.background]
    return [*beside, *(voxel for clicks in said for voxel in clicks.foreground)]


def _middle(box: tuple[Voxel, Voxel], at: int | None = None) -> Voxel:
    """Of a box, in the slice named if the box reaches there."""
    (i, j, k), (other_i, other_j, other_k) = box
    middle = (k + other_k) / 2
    if at is not None and min(k, other_k) <= at <= max(k, other_k):
        middle = float(at)
    return (i + other_i) / 2, (j + other_j) / 2, middle


def _together(before: Mapping[str, Clicks], new: Mapping[str, Clicks]) -> dict[str, Clicks]:
    labels = dict(before)
    for name, clicks in new.items():
        known = labels.get(name, Clicks())
        labels[name] = Clicks(
            tuple(dict.fromkeys(known.foreground + clicks.foreground)),
            tuple(dict.fromkeys(known.background + clicks.background)),
            clicks.box or known.box,
        )
    return labels


def as_json(step: Step | None) -> dict[str, Any]:
    """What clients see of what counts."""
    if step is None:
        return {}
    shown: dict[str, Any] = TypeAdapter(dict[str, Clicks]).dump_python(
        dict(step.labels), mode="json"
    )
    return shown
