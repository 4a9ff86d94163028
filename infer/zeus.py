"""A study in, one label map out: the inference task behind POST /infer/zeus."""

import logging
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from zeus_app.server.context import ServerContext
from zeus_app.server.studies.catalogue import ResolvedImage
from zeus_app.server.tasks.answer import (
    answer_params,
    names_in,
    read_format,
    read_guidance,
    write_answer,
)
from zeus_app.server.tasks.inference import resolved_image
from zeus_app.studies.align import to_grid
from zeus_app.types import Grid, Segmentation, Volume

logger = logging.getLogger(__name__)


class ZeusInfer(InferTask):
    """Runs whichever model the server was started with; knows no network."""

    def __init__(self, context: ServerContext) -> None:
        target = context.target
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=context.target.label_values,
            dimension=3,
            description=f"{target.instance}: one mask from {', '.join(target.sequence_names)}",
        )
        self._ctx = context

    def is_valid(self) -> bool:
        """An untrained model answers too, and says so."""
        return True

    def is_idempotent(self, request: Mapping[str, Any]) -> bool:
        """The guards let equal requests share one run."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment the study that `request["image"]` is an id of.

        Returns:
            a fresh file with the mask on the grid of the image asked about, and the params.

        Raises:
            InputError: the study or a parameter cannot be used.
            CancelledError: a client cancelled it, or went away.
            BusyError: too many inferences wait already.
        """
        ctx = self._ctx
        resolved = resolved_image(request)
        form, guidance = read_format(request), read_guidance(request, ctx.target)
        with ctx.jobs.job(resolved.study) as report:
            report("reading", 0, 1)
            study = ctx.open_study(resolved)
            segmentation = ctx.segmenter.segment(study, guidance=guidance, report=report)
            params = answer_params(segmentation, ctx.config, ctx.target)
            if not resolved.is_temporary:
                ctx.datastore.predictions.keep(segmentation, params)
        mask = _mask_for(resolved, segmentation, study.source_grids)
        path = write_answer(mask, ctx.target.label_values, form)
        logger.info(
            "%s: checkpoint %s, used %s, ml %s, ms %s", resolved.study, params["checkpoint"],
            params["used"], params["volumes_ml"], params["latencies_ms"],
        )  # fmt: skip
        return str(path), {**params, "label_names": names_in(mask.array, ctx.target.label_values)}


def _mask_for(
    resolved: ResolvedImage, answer: Segmentation, source_grids: Mapping[str, Grid]
) -> Volume:
    """The label map on the grid of the image that the client sees."""
    if resolved.whole:
        return answer.label_map
    return to_grid(answer.label_map, source_grids[resolved.sequence], order=0, fill=0)
