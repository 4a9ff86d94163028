"""Clicks in, a mask out: the tasks that 3D Slicer's SmartEdit and OHIF's point prompts list."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from zeus_app.clicks.pointing import Clicks, StudyPointing
from zeus_app.clicks.segment import Reach
from zeus_app.errors import InputError
from zeus_app.server.answer import names_in, read_format, write_answer
from zeus_app.server.catalogue import Asked
from zeus_app.server.click_history import Step, as_json
from zeus_app.server.click_request import ClickRequest, read_clicks
from zeus_app.server.click_start import masks_to_start_from
from zeus_app.server.workplace import Workplace
from zeus_app.studies.align import to_grid
from zeus_app.types import Grid, SliceFrame, Volume


class ClickInfer(InferTask):
    """Answers clicks on the slice they lie on, or through its neighbours.

    Args:
        workplace: what all tasks share.
        kind: InferType.DEEPGROW, one label a request, or DEEPEDIT, points under labels' names.
        dimension: 2 for the clicked slice alone, 3 to carry the mask on.
    """

    def __init__(self, workplace: Workplace, kind: InferType, *, dimension: int) -> None:
        target = workplace.target
        super().__init__(
            type=kind,
            labels=workplace.label_values,
            dimension=dimension,
            description=f"{target.instance} by clicks, boxes, scribbles or a mask to start from, in"
            f" {'one slice' if dimension == 2 else 'all slices'} of every sequence",
        )
        self._workplace = workplace

    def is_valid(self) -> bool:
        """SAM's own decoder needs no training."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer everything that was said so far.

        Returns:
            a fresh file with the mask on the grid of the image asked about, and the params.

        Raises:
            InputError: nothing was pointed at, or a parameter cannot be used.
            CancelledError: a client cancelled it.
        """
        began = time.monotonic()
        place = self._workplace
        asked = place.datastore.catalogue.resolve(request["image"])
        clicked, form = read_clicks(request, place.target), read_format(request)
        refuse_outside(clicked, place.datastore.catalogue.grid(asked))
        step = place.click_history.follow(
            clicked, asked.study, asked.sequence, keep=not asked.guest
        )
        with place.jobs.job(asked.study, urgent=True) as report:
            grid = place.datastore.catalogue.grid(asked)
            stack = place.pictures_of(asked)
            pointings = self._pointings(clicked, step, asked, stack.frame.grid)
            answer = np.zeros(stack.frame.grid.shape, np.uint8)
            at = None if step is None else slice_asked(step, grid, stack.frame)
            if pointings:
                reach = self._reach(clicked, at)
                answer = place.clicks.segment(stack, pointings, reach=reach, report=report)
        if at is not None:
            place.clicked(asked, at, stack.frame.grid.shape[2])
        values = np.array([0, *place.label_values.values()], np.uint8)
        on_grid = Volume(values[answer], stack.frame.grid.affine_ras)
        mask = to_grid(on_grid, grid, order=0, fill=0.0)
        path = write_answer(mask, place.label_values, form)
        params = {
            "label_names": names_in(mask.array, place.label_values),
            "study": asked.study,
            "clicks": as_json(step),
            "steps": len(place.click_history.steps(clicked.user, asked.study)),
            "sequences": list(clicked.sequences or place.target.sequence_names),
            "latencies_ms": {"all": round((time.monotonic() - began) * 1000, 1)},
        }
        return str(path), params

    def _pointings(
        self, clicked: ClickRequest, step: Step | None, asked: Asked, grid: Grid
    ) -> dict[int, StudyPointing]:
        """Label index -> all that was said of it, on the canonical grid."""
        place = self._workplace
        names = place.target.label_names
        start = masks_to_start_from(place, clicked, asked, grid)
        said = dict(step.labels) if step else {}
        if not said and start.any:
            said = dict.fromkeys(names, Clicks())
        source = place.datastore.catalogue.grid(asked)
        found = {
            names.index(name): StudyPointing(
                clicks=clicks.on(grid, source),
                scribbles=start.scribbles if name == (clicked.label or names[0]) else None,
                prior=start.prior_of(place.label_values[name]),
            )
            for name, clicks in said.items()
        }
        return {k: one for k, one in found.items() if not one.is_empty}

    def _reach(self, clicked: ClickRequest, at: int | None) -> Reach:
        """The clicked slice alone in 2-D; every clicked slice and its neighbours in 3-D."""
        if self.dimension == 3:
            return Reach(slices=clicked.most_slices, sequences=clicked.sequences)
        return Reach(only=at, sequences=clicked.sequences)


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


def slice_asked(step: Step, grid: Grid, frame: SliceFrame) -> int | None:
    """The axial slice that a request is about, on the canonical grid.

    The one that `slice` names where the volume is stored axially; else that of the newest click.
    """
    clicks = list(step.labels.values())
    places = [*(c.box[0] for c in clicks if c.box), *(v for c in clicks for v in c.background),
              *(v for c in clicks for v in c.foreground)]  # fmt: skip
    if step.slice_index is not None:
        places = [v for v in places if round(v[2]) == step.slice_index] or [
            ((grid.shape[0] - 1) / 2, (grid.shape[1] - 1) / 2, float(step.slice_index))
        ]
    if not places:
        return None
    (_, _, z) = Clicks((places[-1],)).on(frame.grid, grid).foreground[0]
    return int(np.floor(z + 0.5))
