"""A study in, one label map out: the inference task behind POST /infer/zeus."""

import logging
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from zeus_app.server.answer import (
    answer_params,
    names_in,
    read_format,
    read_guidance,
    write_answer,
)
from zeus_app.server.catalogue import Asked
from zeus_app.server.workplace import Workplace
from zeus_app.studies.align import to_grid
from zeus_app.types import Segmentation, Volume

logger = logging.getLogger(__name__)


class ZeusInfer(InferTask):
    """Runs whichever model the server was started with; knows no network."""

    def __init__(self, workplace: Workplace) -> None:
        target = workplace.target
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=workplace.label_values,
            dimension=3,
            description=f"{target.instance}: one mask from {', '.join(target.sequence_names)}",
        )
        self._workplace = workplace

    def is_valid(self) -> bool:
        """An untrained model answers too, and says so."""
        return True

    def same_when_repeated(self, request: Mapping[str, Any]) -> bool:
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
        place = self._workplace
        asked = place.datastore.catalogue.resolve(request["image"])
        form, guidance = read_format(request), read_guidance(request, place.target)
        with place.jobs.job(asked.study) as report:
            report("reading", 0, 1)
            study = place.datastore.catalogue.read(asked)
            segmentation = place.segmenter.segment(study, guidance=guidance, report=report)
            params = answer_params(segmentation, place.config, place.target)
            if not asked.guest:
                place.datastore.originals.keep(segmentation, params)
        mask = _mask_for(asked, segmentation, study.volumes)
        path = write_answer(mask, place.label_values, form)
        logger.info(
            "%s: checkpoint %s, used %s, ml %s, ms %s", asked.study, params["checkpoint"],
            params["used"], params["volumes_ml"], params["latencies_ms"],
        )  # fmt: skip
        return str(path), {**params, "label_names": names_in(mask.array, place.label_values)}


def _mask_for(asked: Asked, answer: Segmentation, volumes: Mapping[str, Volume]) -> Volume:
    """The label map on the grid of the image the client sees."""
    if asked.whole:
        return answer.label_map
    return to_grid(answer.label_map, volumes[asked.sequence].grid, order=0, fill=0)
