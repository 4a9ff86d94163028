"""Check the files of a version, so that a damaged or foreign one is skipped."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

logger = logging.getLogger(__name__)

UNTRAINED = "untrained"
"""The version of a model that was never trained."""
MAX_JSON_BYTES = 64 * 1024 * 1024
RESUME_KEYS = frozenset({"identity", "info", "model", "optimizer", "seconds", "epochs", "run"})
"""What the resume file of an interrupted training holds."""


@dataclass(frozen=True)
class CheckpointInfo:
    """A version without its weights.

    The field names are keys of public JSON (v0001.json and GET /zeus/checkpoints), so they stay.

    Attributes:
        version: "v0001" and so on.
        created: ISO 8601, UTC.
        epoch: epoch of these weights, counted from 1.
        score: mean validation DSC in [0, 1]; None without validation.
        studies: ids of the studies that this version and its ancestors were trained on. Scoring
            leaves them out.
        patients: patients of these studies.
        validation: ids of the studies that chose the epoch.
        fitted_to: what the weights belong to, by role: frozen towers, labels, sequences. The code
            calls it `trained_with`.
        parent: version that the training started from, or "untrained".
        left_out: skipped study -> reason.
        note: how the epoch was chosen, in words.
        settings: the TrainConfig.
        epochs: every `Epoch` of the training, as a dictionary.
        seconds: wall-clock time of the training.
        prepare_seconds: wall-clock time of encoding and other preparation before it; None in
            versions of Zeus 0.2.0 and older.
        identity: hash of recipe, cases and origin; equal for the same training.
    """

    version: str
    created: str
    epoch: int
    score: float | None
    studies: tuple[str, ...]
    validation: tuple[str, ...]
    fitted_to: Mapping[str, str]
    patients: tuple[str, ...] = ()
    parent: str = UNTRAINED
    left_out: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0
    prepare_seconds: float | None = None
    identity: str = ""


@dataclass(frozen=True)
class UnusableVersion:
    """A version whose files are damaged or foreign, with the reason. It names no path."""

    version: str
    reason: str


_INFO = TypeAdapter(CheckpointInfo)


def read_version(description: Path) -> CheckpointInfo | UnusableVersion | None:
    """Read the JSON of a version, and check its weights without keeping them in memory.

    Files that did not change since are not read again.

    Args:
        description: the JSON; the weights lie beside it, for example v0001.json and v0001.pt.

    Returns:
        the version, or the reason why it cannot be used; None without a file of weights.
    """
    weights = description.with_suffix(".pt")
    if not weights.exists():
        return None
    try:
        return _read_version(description, _stamp(description), _stamp(weights))
    except FileNotFoundError:  # removed meanwhile
        return None


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=4096)
def _read_version(description: Path, *stamps: tuple[int, int]) -> CheckpointInfo | UnusableVersion:
    """Called once for each state of the two files, which the stamps identify."""
    version, weights = description.stem, description.with_suffix(".pt")
    try:
        info = _read_info(description)
        _check_weights(weights)
    except _DamagedError as error:
        logger.warning("Zeus: checkpoint %s is skipped: %s", version, error)
        return UnusableVersion(version, str(error))
    return info


class _DamagedError(Exception):
    """The message says why a file cannot be used, without its path."""


def _read_info(path: Path) -> CheckpointInfo:
    try:
        if not path.is_file() or path.stat().st_size > MAX_JSON_BYTES:
            raise _DamagedError(f"{path.name} is no file, or has more than {MAX_JSON_BYTES} bytes")
        info = _INFO.validate_json(path.read_bytes())
        # What clients are sent must be JSON: no NaN, no lone surrogates.
        json.dumps(asdict(info), allow_nan=False, ensure_ascii=False).encode()
    except (OSError, ValueError, RecursionError) as error:
        raise _DamagedError(
            f"{path.name} ends early or does not describe a checkpoint of Zeus"
        ) from error
    if info.version != path.stem:
        raise _DamagedError(f"{path.name} describes a version with another name")
    return info


def _check_weights(path: Path) -> None:
    try:
        if not path.is_file():
            raise _DamagedError(f"{path.name} is no file")
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except _DamagedError:
        raise
    except Exception as error:  # torch raises exceptions of many types for foreign files
        raise _DamagedError(
            f"{path.name} ends early or does not hold weights that Zeus saved"
        ) from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _DamagedError(f"{path.name} does not hold named weights")


def read_resume(path: Path) -> dict[str, Any] | None:
    """Read the resume file of an interrupted training. No code in the file is run.

    Returns:
        its content; None if it is missing, damaged or foreign.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # torch raises exceptions of many types for foreign files
        logger.warning(
            "Zeus: %s is ignored: it cannot be read (%s)", path.name, type(error).__name__
        )
        return None
    if not isinstance(saved, dict) or not saved.keys() >= RESUME_KEYS:
        logger.warning("Zeus: %s is ignored: no training of Zeus wrote it", path.name)
        return None
    return saved
