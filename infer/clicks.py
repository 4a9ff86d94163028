"""Prompts in, a mask out: the tasks behind 3D Slicer's SmartEdit and OHIF's point prompts."""

import time
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_answer import ClickAnswer, shown_values
from zeus_app.server.interactive.click_limits import encode_rest, limits_of
from zeus_app.server.interactive.click_request import (
    BACKGROUND,
    read_click_request,
    refuse_outside,
)
from zeus_app.server.interactive.initial_masks import load_masks
from zeus_app.server.interactive.kept_segments import kept_segments
from zeus_app.server.interactive.session import ClickSession, yield_when_propagating
from zeus_app.server.tasks.answer import read_format, write_answer
from zeus_app.server.tasks.inference import resolved_image
from zeus_app.server.tasks.options import click_options
from zeus_app.server.tasks.parameters import click_parameters


class ClickInfer(InferTask):
    """Segments the clicked slice (2-D), or propagates its mask to the neighbouring slices (3-D).

    Args:
        context: what all tasks share.
        kind: InferType.DEEPGROW (points of one label), DEEPEDIT (of several) or SCRIBBLES.
        dimension: 2 or 3.
    """

    def __init__(self, context: ServerContext, kind: InferType, *, dimension: int) -> None:
        target, values = context.target, context.target.label_values
        super().__init__(
            type=kind,
            # Deepedit clients send background points under the name of a label.
            labels={**values, BACKGROUND: 0} if kind == InferType.DEEPEDIT else values,
            dimension=dimension,
            description=f"{target.instance} by clicks, boxes, scribbles or an initial mask, in"
            f" {'one slice' if dimension == 2 else 'all slices'} of every sequence",
            config=click_options(context.config, target, dimension=dimension),
        )
        self._ctx, self.parameters = context, click_parameters(target)

    def is_valid(self) -> bool:
        """SAM's own decoder needs no training."""
        return True

    def is_idempotent(self, request: Mapping[str, Any]) -> bool:
        """Only answers that need no history and no stored mask are shared by equal requests."""
        return read_click_request(request, self._ctx.target).is_self_contained

    def check(self, request: Mapping[str, Any]) -> None:
        """Refuse a bad parameter before any work. Raises InputError."""
        read_click_request(request, self._ctx.target), read_format(request)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer the prompts of a request, on top of its user's earlier prompts.

        Returns:
            A fresh file with the mask on the grid of the image asked about, and the params.

        Raises:
            InputError: a parameter or a prompt cannot be used.
            CancelledError: a client cancelled the request.
            BusyError: too many requests wait already.
        """
        began = time.monotonic()
        ctx, resolved = self._ctx, resolved_image(request)
        clicked, form = read_click_request(request, ctx.target), read_format(request)
        session = ClickSession(ctx, resolved, clicked)
        refuse_outside(clicked, session.image.grid)
        # Slow work comes before this request's turn, so that the clicks of others go on.
        segmenter, opening = ctx.click_segmenter, time.monotonic()
        stack, opened = ctx.open_study(resolved).stack, time.monotonic()
        masks = load_masks(ctx, clicked, resolved)
        segments = kept_segments(ctx, clicked, resolved, masks, session.image.grid)
        with ctx.jobs.job(resolved.study, urgent=True) as job:
            prompts = session.prompts(stack.frame.grid, masks)
            limits = limits_of(
                clicked, prompts.slice_index, dimension=self.dimension,
                encode_s=ctx.config.click_seconds, spent_s=opened - opening,
            )  # fmt: skip
            segmented = segmenter.answer(
                stack, prompts.labels, limits=limits, report=yield_when_propagating(job)
            )
            answer = ClickAnswer(ctx.target, clicked, prompts, segments)
            shown = shown_values(request, ctx.target, is_deepedit=self.type == InferType.DEEPEDIT)
            mask = answer.mask(
                segmented.label_map, stack.frame.grid, session.image.grid, shown=shown
            )
            path = write_answer(mask, ctx.target.label_values, form)
            steps = session.save()
        encode_rest(ctx, resolved, segmented, prompts.slice_index, session=clicked.session)
        return str(path), {
            **answer.params(mask, segmented),
            "study": resolved.study,
            "steps": steps,
            "latencies_ms": {"all": round((time.monotonic() - began) * 1000, 1)},
        }
