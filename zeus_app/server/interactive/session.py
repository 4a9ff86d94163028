"""A user's clicks on one study over several requests: ClickSession."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.prompts.propagation import PROPAGATING
from zeus_app.prompts.types import Scribbles, StudyPrompt, Voxel, cut_box, move_voxels
from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_history import ClickedImage, Step, steps_after
from zeus_app.server.interactive.click_request import ClickRequest
from zeus_app.server.interactive.initial_masks import on_grid, scribbles_on
from zeus_app.server.interactive.sent_label import DrawnMasks
from zeus_app.server.jobs.jobs import Job
from zeus_app.server.jobs.scheduler import Priority
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.tasks.chosen_sequences import refuse_lacking
from zeus_app.types import Grid


@dataclass(frozen=True)
class SessionPrompts:
    """All prompts that count for one answer.

    Attributes:
        labels: label index k -> prompts, in voxels of one grid; only labels with prompts.
        slice_index: the slice of that grid that a 2-D answer shows; None for every slice with a
            prompt, if there is no click, or if a label file is all that came.
        step: the points and boxes as the history stores them.
        new_values: values of the labels whose mask is new: by a point, a box, a scribble or a text.
    """

    labels: Mapping[int, StudyPrompt]
    slice_index: int | None
    step: Step
    new_values: frozenset[int] = frozenset()


@dataclass(frozen=True)
class ClickSession:
    """One request on top of the same user's earlier requests on the same study.

    Attributes:
        ctx: of the server.
        resolved: the image that the client shows.
        request: the new request.

    Raises:
        InputError: the request names a sequence that the study lacks.
    """

    ctx: ServerContext
    resolved: ResolvedImage
    request: ClickRequest

    def __post_init__(self) -> None:
        refuse_lacking(self.request.sequences, self.resolved.files)

    @property
    def image(self) -> ClickedImage:
        """The image that the client shows, with the grids of its study."""
        catalogue, resolved = self.ctx.datastore.catalogue, self.resolved
        return ClickedImage(
            resolved.shown,
            resolved.sources.keys(),
            lambda image: catalogue.grid(resolved.showing(image)),
        )

    @property
    def study(self) -> str:
        """Name of the study in the history; the image of a session has a new id every time."""
        session = self.request.session
        return f"session {session}" if session else self.resolved.study

    def prompts(self, grid: Grid, masks: DrawnMasks) -> SessionPrompts:
        """The prompts that count once the request is taken into account.

        Args:
            grid: the canonical grid of the study.
            masks: the masks that the request refers to.

        Returns:
            Prompts in voxels of that grid.

        Raises:
            InputError: a box lies outside that grid. Its image may reach farther.
        """
        image, target = self.image, self.ctx.target
        earlier = self.ctx.click_history.steps(self.request.user, self.study)
        steps = steps_after(earlier, self.request, image)
        step = steps[-1] if steps else Step({}, image.sequence)
        source = image.grid_of(step.sequence)
        scribbles = {}
        if masks.scribbles is not None:
            scribbles[self.request.label] = scribbles_on(grid, masks.scribbles)
        initial = None if masks.initial is None else on_grid(masks.initial, grid)
        labels = {
            k: replace(
                step.labels.get(label.name, StudyPrompt()).on(grid, source),
                scribbles=scribbles.get(label.name, Scribbles()),
                initial_mask=None if initial is None else initial == label.value,
            )
            for k, label in enumerate(target.labels)
        }
        prompted = [name for name, prompt in step.labels.items() if prompt.has_prompts]
        shows_click = self.request.label_file is None or bool(self.request.prompts)
        for prompt in labels.values():
            _refuse_outside(prompt.box, grid)
        return SessionPrompts(
            labels={k: prompt for k, prompt in labels.items() if prompt.has_prompts},
            slice_index=_slice_of(step.at, grid, source) if step.at and shows_click else None,
            step=step,
            new_values=frozenset(
                label.value
                for label in target.labels
                if label.name in {*prompted, *scribbles, *self._texts}
            ),
        )

    @property
    def _texts(self) -> set[str]:
        """Names of the labels whose mask to start from is made by a text."""
        texts = self.request.guidance.texts if self.request.initial_mask == "text" else {}
        return {label for _, label in texts}

    def save(self) -> int:
        """Store the request in the history.

        Returns:
            The number of steps; 0 for a file sent along, which no later request can name.
        """
        if self.resolved.is_temporary and not self.request.session:
            return 0
        return self.ctx.click_history.append(self.request, self.study, self.image)


def _refuse_outside(box: tuple[Voxel, Voxel] | None, grid: Grid) -> None:
    if box and cut_box(box, grid) is None:
        raise InputError(
            "a box outside the study's reference image",
            expected=f"a box that reaches into the image that the study is segmented on, {grid}",
            remedy="draw it on the image that GET /datastore/image sends for the study's id",
        )


def _slice_of(voxel: Voxel, target: Grid, source: Grid) -> int:
    """The slice of the target grid that contains a voxel of the source grid."""
    ((_, _, s),) = move_voxels((voxel,), target, source)
    return int(np.floor(s + 0.5))


def yield_when_propagating(job: Job) -> Report:
    """The job's report; once all prompted slices are segmented, other clicks go first."""

    def report(stage: str, done: int, total: int) -> None:
        if stage == PROPAGATING:
            job.priority = Priority.PROPAGATION
        job(stage, done, total)

    return report
