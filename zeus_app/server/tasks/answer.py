"""What goes to the client beside the mask."""

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeus_app.errors import InputError
from zeus_app.labels.files import DTYPES, extension_of, write_label
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import Target
from zeus_app.types import Guidance, Segmentation, Volume

logger = logging.getLogger(__name__)

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

    {"scope": "none" | "series" | "key" | "all", "instructions": {"FLAIR/lesion": "text"}}, as
    `read_texts` reads them.

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
    """Read a user's own texts, by (sequence, label).

    {"FLAIR/lesion": "text"} is for one label in one sequence; {"lesion": "text"} for a label in
    every sequence, {"FLAIR": "text"} for every label in a sequence. Of two for the same the pair
    wins over the label, and the label over the sequence.

    Raises:
        InputError: not such a mapping, or an unknown sequence or label.
    """
    if not isinstance(given, Mapping):
        raise _unread(target, f"instructions {given!r}")
    found = [(_pairs(str(key), target), str(key), text) for key, text in given.items()]
    for pairs, key, text in found:
        if not pairs or not isinstance(text, str) or not text.strip():
            raise _unread(target, f"instruction {key!r}: {text!r}")
    exact_last = sorted(found, key=lambda one: ("/" in one[1], one[1] in target.label_names))
    return {pair: text for pairs, _, text in exact_last for pair in pairs}


def read_kept_texts(given: Mapping[str, str], target: Target) -> dict[tuple[str, str], str]:
    """Read texts stored with a label, when perhaps more was looked at than is now.

    What is not of this target's sequences and labels is left out, and logged.
    """
    known = {key: text for key, text in given.items() if _pairs(key, target)}
    for key in given.keys() - known.keys():
        logger.warning("the instruction kept for %s is left out: the target has no such", key)
    return read_texts(known, target)


def _pairs(key: str, target: Target) -> list[tuple[str, str]]:
    """What a key of a user's text stands for; nothing when it is not known."""
    sequence, slash, label = key.partition("/")
    return [
        (one, other)
        for one in target.sequence_names
        for other in target.label_names
        if (sequence, label) == (one, other) or (not slash and key in (one, other))
    ]


def _unread(target: Target, came: str) -> InputError:
    example = f"{target.sequence_names[0]}/{target.label_names[0]}"
    return InputError(
        came,
        expected=f"a mapping of sequence/label, sequence or label to text, such as {example}",
        remedy=f"sequences are {', '.join(target.sequence_names)}; labels are "
        f"{', '.join(target.label_names)}",
    )


def answer_params(segmentation: Segmentation, config: ZeusConfig, target: Target) -> dict[str, Any]:
    """Everything a client should know of an answer, ready for JSON."""
    return {
        "label_names": target.label_values,
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
