"""The prompts of each user on each study, kept on disk as steps that can be undone."""

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zeus_app.prompts.types import StudyPrompt, Voxel, cut_box, move_voxels
from zeus_app.server.interactive.click_request import ClickMode, ClickRequest
from zeus_app.server.interactive.click_values import once
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.state import folder_name
from zeus_app.types import Grid

logger = logging.getLogger(__name__)

MAX_STEPS = 100
"""Most steps that are stored for one user and study; the oldest are dropped."""


@dataclass(frozen=True)
class Step:
    """The points and boxes that counted when a request was answered.

    Attributes:
        labels: label name -> points and box. Scribbles and initial masks are not stored.
        sequence: name of the image whose grid the voxels are on: a sequence, or a Series Instance
            UID.
        at: the voxel whose slice a 2-D answer shows; None if there was no prompt.
    """

    labels: Mapping[str, StudyPrompt]
    sequence: str
    at: Voxel | None = None


@dataclass(frozen=True)
class _StoredPrompt:
    """The JSON form of a label's points and box."""

    foreground: tuple[Voxel, ...] = ()
    background: tuple[Voxel, ...] = ()
    box: tuple[Voxel, Voxel] | None = None


@dataclass(frozen=True)
class _StoredStep:
    """The JSON form of a step."""

    labels: Mapping[str, _StoredPrompt]
    sequence: str
    at: Voxel | None = None


_STEPS = TypeAdapter(list[_StoredStep])


@dataclass(frozen=True)
class ClickedImage:
    """The image that a request is about.

    Attributes:
        sequence: name of the image that the client shows: a sequence, or a Series Instance UID.
            Voxels of the request are on its grid.
        sequences: names of all images of the study.
        grid_of: gives the grid of an image.
    """

    sequence: str
    sequences: Collection[str]
    grid_of: Callable[[str], Grid]

    @property
    def grid(self) -> Grid:
        """The grid of the sequence that the client shows."""
        return self.grid_of(self.sequence)

    def move_here(self, step: Step) -> Step:
        """The same step in voxels of this image."""
        source = self.grid_of(step.sequence)
        labels = {name: prompt.on(self.grid, source) for name, prompt in step.labels.items()}
        at = move_voxels((step.at,), self.grid, source)[0] if step.at else None
        return Step(labels, self.sequence, at)


class ClickHistory:
    """Steps by user and study, one JSON file for each: <hash of user>/<study>.json."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def uploads_folder(self, user: str, study: str) -> Path:
        """The folder of one user's uploads for a study. The file of steps lies beside it."""
        user_hash = hashlib.blake2b(user.encode(), digest_size=8).hexdigest()
        return self._folder / user_hash / folder_name(study)

    def steps(self, user: str, study: str) -> list[Step]:
        """The stored steps, the oldest first; empty if the file is missing or damaged."""
        try:
            stored = _STEPS.validate_json(self._file(user, study).read_bytes())
        except (OSError, ValidationError):
            return []
        return [
            Step(
                {name: StudyPrompt(**vars(prompt)) for name, prompt in step.labels.items()},
                step.sequence,
                step.at,
            )
            for step in stored
        ]

    def has_steps(self, study: str) -> bool:
        """Whether any user has clicked, scribbled or sent a mask on a study."""
        names = folder_name(study), f"{folder_name(study)}.json"
        return any((user / name).exists() for user in self._folder.glob("*") for name in names)

    def append(self, request: ClickRequest, study: str, image: ClickedImage) -> int:
        """Store an answered request.

        The steps are read again under a lock, so that no step of a concurrent request is lost.

        Returns:
            The number of steps after the request.
        """
        with self._lock:
            steps = steps_after(self.steps(request.user, study), request, image)[-MAX_STEPS:]
            try:
                self._write(request.user, study, steps)
            except OSError as error:  # the answer itself is still good
                logger.warning("the clicks on study %s are not stored: %s", study, error)
            return len(steps)

    def _write(self, user: str, study: str, steps: list[Step]) -> None:
        path = self._file(user, study)
        if steps:
            stored = [{**vars(step), "labels": prompts_as_json(step)} for step in steps]
            write_text_atomically(path, json.dumps(stored))
        else:
            path.unlink(missing_ok=True)

    def _file(self, user: str, study: str) -> Path:
        folder = self.uploads_folder(user, study)
        return folder.with_name(f"{folder.name}.json")


def steps_after(steps: list[Step], request: ClickRequest, image: ClickedImage) -> list[Step]:
    """The steps after a request. The prompts of the last step count.

    A request that changes nothing, or comes twice, adds no step. Boxes are cut at the image's edge.
    """
    if request.mode is ClickMode.RESET:
        steps = []
    # A study may have lost a sequence since, or the server now uses other sequences.
    steps = [step for step in steps if step.sequence in image.sequences]
    if request.mode is ClickMode.UNDO:
        return steps[:-1]
    before = steps[-1] if steps else Step({}, image.sequence)
    if before.sequence != image.sequence:
        before = image.move_here(before)
    prompts = {
        name: replace(prompt, box=prompt.box and cut_box(prompt.box, image.grid))
        for name, prompt in request.prompts.items()
    }
    is_addition = request.mode is ClickMode.ADD
    labels = _merged(before.labels, prompts) if is_addition else prompts
    if labels == before.labels and request.slice_index is None and not (is_addition and prompts):
        return steps
    newest = _newest_voxel(prompts.values(), request.slice_index, before, image.grid)
    step = Step(labels, image.sequence, newest)
    return [*(steps[:-1] if labels == before.labels else steps), step]


def _merged(
    earlier: Mapping[str, StudyPrompt], new: Mapping[str, StudyPrompt]
) -> dict[str, StudyPrompt]:
    """Each label's points, each once; a new box replaces the earlier one.

    A voxel that was on the label and is now clicked as outside it, or the reverse, is what the new
    click says.
    """
    labels = dict(earlier)
    for name, prompt in new.items():
        known = labels.get(name, StudyPrompt())
        labels[name] = StudyPrompt(
            once(_without(prompt.background, known.foreground) + prompt.foreground),
            once(_without(prompt.foreground, known.background) + prompt.background),
            prompt.box or known.box,
        )
    return labels


def _without(dropped: tuple[Voxel, ...], voxels: tuple[Voxel, ...]) -> tuple[Voxel, ...]:
    return tuple(voxel for voxel in voxels if voxel not in dropped)


def _newest_voxel(
    prompts: Collection[StudyPrompt], slice_index: int | None, before: Step, grid: Grid
) -> Voxel | None:
    """The voxel whose slice a 2-D answer shows.

    Without `slice`: the last new point, else the last point, else the middle of the last box. With
    `slice`: a point on that slice, else the middle of the last box, else the middle of that slice.
    A box comes before the slice because 3D Slicer sends a distance in mm as the slice of a box.
    """
    points = _points(prompts)
    boxes = [prompt.box for prompt in prompts if prompt.box]
    if slice_index is None:
        earlier = set(_points(before.labels.values()))
        new = [voxel for voxel in points if voxel not in earlier]
        candidates = [*map(_middle, boxes), *(new or points)]
        return candidates[-1] if candidates else None
    if on_slice := [voxel for voxel in points if round(voxel[2]) == slice_index]:
        return on_slice[-1]
    if boxes:
        return _middle(boxes[-1], slice_index)
    return (grid.shape[0] - 1) / 2, (grid.shape[1] - 1) / 2, float(slice_index)


def _points(prompts: Collection[StudyPrompt]) -> list[Voxel]:
    """The background points of all labels, then the foreground points."""
    background = [voxel for prompt in prompts for voxel in prompt.background]
    return [*background, *(voxel for prompt in prompts for voxel in prompt.foreground)]


def _middle(box: tuple[Voxel, Voxel], slice_index: int | None = None) -> Voxel:
    """The middle of a box; on the named slice if the box reaches there."""
    (i, j, k), (other_i, other_j, other_k) = box
    middle = (k + other_k) / 2
    if slice_index is not None and min(k, other_k) <= slice_index <= max(k, other_k):
        middle = float(slice_index)
    return (i + other_i) / 2, (j + other_j) / 2, middle


def prompts_as_json(step: Step) -> dict[str, Any]:
    """Label name -> points and box of a step, as clients and the history file see them."""
    return {
        name: {
            "foreground": prompt.foreground,
            "background": prompt.background,
            "box": prompt.box,
        }
        for name, prompt in step.labels.items()
    }
