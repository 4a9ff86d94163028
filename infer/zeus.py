"""The inference task behind POST /infer/zeus: a study in, one label map out."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from zeus_app.reporting.answer import answer_params, names_in
from zeus_app.server.context import ServerContext
from zeus_app.server.studies.chosen_images import USE_IMAGES
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.tasks.about import model_description, weights_of
from zeus_app.server.tasks.answer import read_format, write_answer
from zeus_app.server.tasks.chosen_sequences import SEQUENCES, read_sequences
from zeus_app.server.tasks.guidance import read_guidance
from zeus_app.server.tasks.inference import resolved_image, save_prediction
from zeus_app.server.tasks.options import segmentation_options
from zeus_app.server.tasks.parameters import SEGMENTATION
from zeus_app.studies.align import to_grid
from zeus_app.types import Grid, Segmentation, Volume

logger = logging.getLogger(__name__)


class ZeusInfer(InferTask):
    """Runs the model that the server was started with, whichever network it is."""

    def __init__(self, context: ServerContext) -> None:
        target = context.target
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=target.label_values,
            dimension=3,
            description=target.instance,
            config=segmentation_options(context.config, target),
        )
        self._ctx, self.parameters = context, SEGMENTATION

    def info(self) -> dict[str, Any]:
        """What clients show; the description says whether the model is trained by now."""
        return {**super().info(), "description": model_description(self._ctx, self.weights)}

    @cached_property
    def weights(self) -> list[dict[str, str]]:
        """The weights with their licences; see `weights_of`. The profile is read once."""
        return weights_of(self._ctx.config)

    def is_valid(self) -> bool:
        """Always true: an untrained model answers too, with a note."""
        return True

    def is_idempotent(self, request: Mapping[str, Any]) -> bool:
        """Always true: equal requests may share one run."""
        return True

    def check(self, request: Mapping[str, Any]) -> None:
        """Refuse a bad parameter before any work. Raises InputError."""
        read_format(request), read_guidance(request, self._ctx.target)
        read_sequences(request.get(SEQUENCES), self._ctx.target)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment the study of a request.

        Returns:
            Path of a new file with the mask on the grid of the requested image, and the
            parameters of the answer.

        Raises:
            InputError: the study or a parameter cannot be used.
            CancelledError: a client cancelled the inference, or no client waits for it.
            BusyError: too many inferences wait already.
        """
        ctx = self._ctx
        resolved = resolved_image(request)
        answer_format, guidance = read_format(request), read_guidance(request, ctx.target)
        sequences = read_sequences(request.get(SEQUENCES), ctx.target)
        with ctx.jobs.job(resolved.study) as report:
            report("reading", 0, 1)
            start_s = time.perf_counter()
            study = ctx.open_study(resolved, sequences)
            opening_ms = 1000 * (time.perf_counter() - start_s)
            segmentation = ctx.segmenter.segment(study, guidance=guidance, report=report)
            latencies_ms = {"read and align": opening_ms, **segmentation.latencies_ms}
            segmentation = replace(segmentation, latencies_ms=latencies_ms)
            params = answer_params(segmentation, ctx.config, ctx.target)
            params |= {key: request[key] for key in (USE_IMAGES,) if request.get(key)}
            if not resolved.is_temporary:
                params |= save_prediction(ctx.datastore.predictions, segmentation, params)
        catalogue = ctx.datastore.catalogue
        of_series = {resolved.series: catalogue.grid(resolved)} if resolved.series else {}
        mask = mask_for(resolved, segmentation, {**study.source_grids, **of_series})
        path = write_answer(mask, ctx.target.label_values, answer_format)
        logger.info(
            "%s: checkpoint %s, used %s, ml %s, ms %s", resolved.study, params["checkpoint"],
            params["used"], params["volumes_ml"], params["latencies_ms"],
        )  # fmt: skip
        return str(path), {**params, "label_names": names_in(mask.array, ctx.target.label_values)}


def mask_for(
    resolved: ResolvedImage, segmentation: Segmentation, source_grids: Mapping[str, Grid]
) -> Volume:
    """The label map on the grid of the image that the client sees."""
    if resolved.whole:
        return segmentation.label_map
    return to_grid(segmentation.label_map, source_grids[resolved.shown], order=0, fill=0)
