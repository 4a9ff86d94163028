"""Clicks in, a mask out: the tasks that 3D Slicer's SmartEdit and OHIF's point prompts list."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.prompts.propagation import PROPAGATING, Reach
from zeus_app.prompts.types import Clicks, StudyPrompt
from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_history import Seen, Step, as_json, steps_after
from zeus_app.server.interactive.click_request import (
    BACKGROUND,
    MOST_SLICES,
    ClickRequest,
    is_self_contained,
    read_clicks,
)
from zeus_app.server.interactive.initial_masks import on_grid, prior_of, scribbles_of
from zeus_app.server.jobs.jobs import Job
from zeus_app.server.jobs.scheduler import Priority
from zeus_app.server.studies.catalogue import ResolvedImage
from zeus_app.server.tasks.answer import names_in, read_format, write_answer
from zeus_app.server.tasks.inference import resolved_image
from zeus_app.studies.align import to_grid
from zeus_app.types import Grid, LabelArray, SliceFrame, Volume


class ClickInfer(InferTask):
    """Answers clicks on the slice they lie on, or through its neighbours.

    Args:
        workplace: what all tasks share.
        kind: InferType.DEEPGROW, one label a request, or DEEPEDIT, points under labels' names.
        dimension: 2 for the clicked slice alone, 3 to carry the mask on.
    """

    def __init__(self, context: ServerContext, kind: InferType, *, dimension: int) -> None:
        target, values = context.target, context.target.label_values
        wishes: dict[str, Any] = {"sequences": ""}
        super().__init__(
            type=kind,
            # Deepedit clients have no other way to point beside all labels.
            labels={**values, BACKGROUND: 0} if kind == InferType.DEEPEDIT else values,
            dimension=dimension,
            description=f"{target.instance} by clicks, boxes, scribbles or a mask to start from, in"
            f" {'one slice' if dimension == 2 else 'all slices'} of every sequence",
            # What clients show to their users, and send.
            config=wishes if dimension == 2 else {**wishes, "most_slices": MOST_SLICES},
        )
        self._ctx = context

    def is_valid(self) -> bool:
        """SAM's own decoder needs no training."""
        return True

    def is_idempotent(self, request: Mapping[str, Any]) -> bool:
        """What depends on a history or a kept mask is done each time it is asked for."""
        return is_self_contained(request, self._ctx.target)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer everything that was said so far.

        Returns:
            a fresh file with the mask on the grid of the image asked about, and the params.

        Raises:
            InputError: nothing was pointed at, or a parameter cannot be used.
            CancelledError: a client cancelled it.
        """
        began = time.monotonic()
        ctx = self._ctx
        resolved = resolved_image(request)
        clicked, form = read_clicks(request, ctx.target), read_format(request)
        said = _Said(ctx, clicked, resolved)
        refuse_outside(clicked, said.grid)
        said.step()  # refuses what cannot be, before it waits
        # What takes long is done while others click: loading, reading, asking the model.
        clicks, stack = ctx.clicks, ctx.open_study(resolved).stack
        prior = prior_of(ctx, clicked, resolved)
        with ctx.jobs.job(resolved.study, urgent=True) as job:
            step = said.step()
            pointings = self._pointings(said, step, stack.frame.grid, prior)
            at = said.slice_of(step, stack.frame)
            found = clicks.segment(
                stack, pointings, reach=self._reach(clicked, at), report=carrying_later(job)
            )
            mask = self._mask(found, stack.frame.grid, said.grid)
            path = write_answer(mask, ctx.target.label_values, form)
            steps = said.keep()
        if at is not None:
            ctx.encode_around(resolved, at, stack.frame.grid.shape[2])
        return str(path), {
            "label_names": names_in(mask.array, ctx.target.label_values),
            "study": resolved.study,
            "clicks": as_json(step),
            "steps": steps,
            "sequences": list(clicked.sequences or ctx.target.sequence_names),
            "latencies_ms": {"all": round((time.monotonic() - began) * 1000, 1)},
        }

    def _pointings(
        self, said: "_Said", step: Step | None, grid: Grid, prior: Volume | None
    ) -> dict[int, StudyPrompt]:
        """Label index -> all that was said of it, on the canonical grid."""
        ctx, clicked = self._ctx, said.request
        scribbles = scribbles_of(ctx, clicked, said.resolved, grid)
        start = None if prior is None else on_grid(prior, grid)
        clicks = said.clicks_on(grid, step)
        found = {
            k: StudyPrompt(
                clicks=clicks.get(label.name, Clicks()),
                scribbles=scribbles if label.name == said.scribbled else Clicks(),
                prior=None if start is None else start == label.value,
            )
            for k, label in enumerate(ctx.target.labels)
        }
        return {k: one for k, one in found.items() if not one.is_empty}

    def _mask(self, found: LabelArray, canonical: Grid, wanted: Grid) -> Volume:
        """Label indices on the canonical grid -> the target's values on the client's."""
        values = np.array([0, *self._ctx.target.label_values.values()], np.uint8)
        return to_grid(Volume(values[found], canonical.affine_ras), wanted, order=0, fill=0.0)

    def _reach(self, clicked: ClickRequest, at: int | None) -> Reach:
        """The clicked slice alone in 2-D; every clicked slice and its neighbours in 3-D."""
        if self.dimension == 3:
            return Reach(slices=clicked.most_slices, sequences=clicked.sequences)
        return Reach(only=at, sequences=clicked.sequences)


class _Said:
    """A request on top of what its user said before, of the image that it asks about."""

    def __init__(self, ctx: ServerContext, request: ClickRequest, resolved: ResolvedImage) -> None:
        self.request, self.resolved = request, resolved
        self.scribbled = request.label or ctx.target.label_names[0]
        self._history, self._catalogue = ctx.click_history, ctx.datastore.catalogue
        self._seen = Seen(resolved.sequence, resolved.files.sources.keys(), self._grid_of)
        self.grid = self._grid_of(resolved.sequence)
        # A session's image has another study id in every request.
        self._study = f"session {request.session}" if request.session else resolved.study

    def step(self) -> Step | None:
        """What counts once the request is taken in, which it is not yet."""
        before = self._history.steps(self.request.user, self._study)
        return next(reversed(steps_after(before, self.request, self._seen)), None)

    def keep(self) -> int:
        """Take the request in; returns the number of steps."""
        if self.resolved.is_temporary and not self.request.session:
            return 0  # no later request can name this image
        return self._history.take(self.request, self._study, self._seen)

    def clicks_on(self, grid: Grid, step: Step | None) -> dict[str, Clicks]:
        """Label name -> clicks, on another grid."""
        if step is None:
            return {}
        source = self._grid_of(step.sequence)
        return {name: clicks.on(grid, source) for name, clicks in step.labels.items()}

    def slice_of(self, step: Step | None, frame: SliceFrame) -> int | None:
        """The axial slice, on the canonical grid, that a 2-D answer is of."""
        if step is None or step.at is None:
            return None
        at = Clicks((step.at,)).on(frame.grid, self._grid_of(step.sequence))
        return int(np.floor(at.foreground[0][2] + 0.5))

    def _grid_of(self, sequence: str) -> Grid:
        return self._catalogue.grid(replace(self.resolved, sequence=sequence))


def carrying_later(job: Job) -> Report:
    """A report of a click: once all that was clicked is answered, other clicks go first."""

    def report(stage: str, done: int, total: int) -> None:
        if stage == PROPAGATING:
            job.turn = Priority.PROPAGATING
        job(stage, done, total)

    return report


def refuse_outside(clicked: ClickRequest, grid: Grid) -> None:
    """Refuse clicks that miss the image, before they enter a history.

    Raises:
        InputError: names the first of them.
    """
    for name, clicks in clicked.labels.items():
        for voxel in clicks.outside(grid):
            raise InputError(
                f"a click on {name} at voxel {list(voxel)}",
                expected=f"a voxel of the image that was asked about, {grid}",
                remedy="send voxel indices [i, j, k] of that image, not mm",
            )
