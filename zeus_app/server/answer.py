"""What goes to the client beside the mask."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeus_app.config import ZeusConfig
from zeus_app.errors import InputError
from zeus_app.server.label_files import DTYPES, extension_of, write_label
from zeus_app.targets import Target
from zeus_app.types import Guidance, Segmentation, Volume

_SET_AT_START = ("union", "threshold", "fusion", "profile", "target", "instruction")
_SCOPES = ("none", "series", "key", "all")
INSTRUCTIONS = "instructions"
"""The key of a user's own texts, in requests and beside labels."""


@dataclass(frozen=True)
class AnswerFormat:
    """How the mask is to be written."""

    extension: str
    dtype: str


def read_format(request: Mapping[str, Any]) -> AnswerFormat:
    """Read `result_extension` and `result_dtype`, as stock clients send them.

    Raises:
        InputError: a format or type Zeus does not write.
    """
    wanted = str(request.get("result_extension") or ".nii.gz")
    dtype = str(request.get("result_dtype") or "uint8")
    if dtype not in DTYPES:
        raise InputError(
            f"result_dtype {dtype!r}", expected=", ".join(DTYPES), remedy="choose one of these"
        )
    return AnswerFormat(extension_of(f"result.{wanted.lstrip('.')}"), dtype)


def read_guidance(request: Mapping[str, Any], target: Target) -> Guidance:
    """Read what a user wishes of the instructions.

    {"scope": "none" | "series" | "key" | "all", "instructions": {"FLAIR/lesion": "text"}}

    Raises:
        InputError: a scope, sequence or label that is not known, or no text.
    """
    for key in _SET_AT_START:
        if key in request:
            raise InputError(
                f"request parameter {key!r}",
                expected="result_extension, result_dtype, scope or instructions",
                remedy=f"start the server with --conf {key} VALUE",
            )
    scope = request.get("scope") or ""
    if scope and scope not in _SCOPES:
        raise InputError(
            f"scope {scope!r}", expected=", ".join(_SCOPES), remedy="choose one of these"
        )
    return Guidance(read_texts(request.get(INSTRUCTIONS) or {}, target), scope)


def read_texts(given: object, target: Target) -> dict[tuple[str, str], str]:
    """Read a user's own texts: {"FLAIR/lesion": "text"}.

    Raises:
        InputError: not such a mapping, or an unknown sequence or label.
    """
    expected = "a mapping of sequence/label to text, such as " + ", ".join(
        f"{target.sequences[0].name}/{label.name}" for label in target.labels
    )
    if not isinstance(given, Mapping):
        raise InputError(f"instructions {given!r}", expected=expected, remedy="send a JSON object")
    texts = {}
    for key, text in given.items():
        sequence, _, label = str(key).partition("/")
        known = sequence in target.sequence_names and label in target.label_names
        if not known or not isinstance(text, str) or not text.strip():
            raise InputError(
                f"instruction {key!r}: {text!r}",
                expected=expected,
                remedy=f"sequences are {', '.join(target.sequence_names)}; labels are "
                f"{', '.join(target.label_names)}",
            )
        texts[sequence, label] = text
    return texts


def answer_params(segmentation: Segmentation, config: ZeusConfig, target: Target) -> dict[str, Any]:
    """Everything a client should know of an answer, ready for JSON."""
    return {
        "label_names": {label.name: label.value for label in target.labels},
        "study": segmentation.study_id,
        "instructions": [
            {
                "sequence": one.sequence,
                "slice": one.slice_index,
                "label": one.label,
                "text": one.text,
                "model": one.model,
                "notice": one.notice,
            }
            for one in segmentation.instructions
        ],
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


def names_in(mask: npt.NDArray[np.generic], names: Mapping[str, int]) -> dict[str, int]:
    """The labels that a mask holds: Slicer gives its n-th value the n-th name that it is told."""
    held = set(np.unique(mask).tolist())
    return {name: value for name, value in names.items() if value in held}


def write_answer(label: Volume, names: Mapping[str, int], form: AnswerFormat) -> Path:
    """Write a mask to a fresh file; MONAI Label deletes it after sending."""
    handle, name = tempfile.mkstemp(prefix="zeus-", suffix=form.extension)
    os.close(handle)
    path = Path(name)
    try:
        write_label(path, label, names=names, dtype=form.dtype)
    except BaseException:
        path.unlink()
        raise
    return path


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in values.items()}
