"""A segmentation as JSON: what a client gets beside the mask, and what `zeus segment` writes."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import Target
from zeus_app.types import Instruction, Segmentation


def answer_params(segmentation: Segmentation, config: ZeusConfig, target: Target) -> dict[str, Any]:
    """The parameters that go to the client with the mask, ready for JSON."""
    return {
        "label_names": target.label_values,
        "study": segmentation.study_id,
        "instructions": instructions_as_json(segmentation.instructions),
        "used": list(segmentation.used),
        "missing": list(segmentation.missing),
        "target": target.name,
        "profile": config.profile,
        "model": config.model,
        "fusion": config.fusion,
        "checkpoint": segmentation.checkpoint,
        "untrained": segmentation.untrained,
        "notes": list(segmentation.notes),
        "agreement": _rounded(segmentation.agreement),
        "volumes_ml": _rounded(segmentation.volumes_ml),
        "latencies_ms": _rounded(segmentation.latencies_ms),
    }


def instructions_as_json(instructions: Iterable[Instruction]) -> list[dict[str, Any]]:
    """Each text with its author, and the warning that must be shown with a machine's text."""
    return [
        {
            "sequence": instruction.sequence,
            "slice": instruction.slice_index,
            "label": instruction.label,
            "text": instruction.text,
            "model": instruction.model,
            "notice": instruction.notice,
        }
        for instruction in instructions
    ]


def names_in(mask: npt.NDArray[np.generic], names: Mapping[str, int]) -> dict[str, int]:
    """The labels that a mask contains; 3D Slicer gives the mask's n-th value the n-th name."""
    values = set(np.unique(mask).tolist())
    return {name: value for name, value in names.items() if value in values}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in values.items()}
