"""What the JSON beside a mask says, and what a mask is made of."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zeus_app.api.prompting import grid_of
from zeus_app.profiles import load_profile
from zeus_app.reporting.answer import answer_params
from zeus_app.settings.config import ZeusConfig
from zeus_app.studies.align import to_grid
from zeus_app.studies.opened import OpenedStudy
from zeus_app.targets import Target
from zeus_app.training.checkpoint import CheckpointInfo
from zeus_app.types import MACHINE_MADE, Grid, Segmentation, StudyFiles, Volume

_DECIDING = ("fusion", "model", "decoder", "union", "threshold", "instruction", "scope",
             "instruction_tokens", "encoder_runtime", "seed")  # fmt: skip
"""Settings that change a mask, besides target and profile."""
_SOFTWARE = {"zeus": "zeus-mri", "torch": "torch", "openvino": "openvino"}


@dataclass(frozen=True)
class Choices:
    """What a user chooses for all studies of a run.

    Attributes:
        sequence: the sequence whose grid the masks lie on; "" for each study's reference.
        sequences: names of the sequences to use; empty: all.
        texts: your own instructions: "FLAIR/lesion", "FLAIR" or "lesion" -> text.
        scope: which slices get a text; "" as configured.
        extension: ending of the masks, one of `labels.files.EXTENSIONS`.
    """

    sequence: str = ""
    sequences: tuple[str, ...] = ()
    texts: Mapping[str, str] | None = None
    scope: str = ""
    extension: str = ".nii.gz"


def mask_on(segmentation: Segmentation, study: OpenedStudy, sequence: str) -> Volume:
    """The union on the grid of a sequence as stored; of the study's reference for "".

    Raises:
        InputError: the study does not have the sequence.
    """
    grid = grid_of(study, sequence)
    if sequence in ("", study.reference):
        return segmentation.label_map
    return to_grid(segmentation.label_map, grid, order=0, fill=0.0)


def describe(
    segmentation: Segmentation,
    config: ZeusConfig,
    target: Target,
    *,
    grid: Grid,
    grid_of: str,
    images: Mapping[str, str],
    checkpoint: CheckpointInfo | None,
    fingerprint: str,
) -> dict[str, Any]:
    """What the JSON beside a mask says.

    Args:
        segmentation: the result.
        config: the settings.
        target: the labels and sequences.
        grid: the grid of the mask.
        grid_of: name of the sequence whose grid it is.
        images: sequence name -> its image, for readers.
        checkpoint: the version of the weights; None for an untrained model.
        fingerprint: of images, settings and weights, see `fingerprint`.
    """
    return {
        "notice": MACHINE_MADE,
        **answer_params(segmentation, config, target),
        "images": dict(images),
        "grid_of": grid_of,
        "grid": {
            "shape": list(grid.shape),
            "spacing_mm": [round(mm, 6) for mm in grid.spacing_mm],
            "affine_ras": grid.affine_ras.tolist(),
        },
        "trained_with": dict(checkpoint.fitted_to) if checkpoint else {},
        "checkpoint_created": checkpoint.created if checkpoint else "",
        "software": {"python": platform.python_version(), **_versions()},
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprint": fingerprint,
    }


def fingerprint(
    files: StudyFiles,
    config: ZeusConfig,
    target: Target,
    *,
    checkpoint: CheckpointInfo | None,
    choices: Choices,
) -> str:
    """Identifies what a mask is made of: image files, settings, and weights.

    Image files count by path, size and time. The version of Zeus does not count.
    """
    made_of = {
        "study": files.id,
        "images": {name: _stamps(source.files) for name, source in files.sources.items()},
        "target": target.model_dump(mode="json"),
        "profile": load_profile(config.profile).model_dump(mode="json"),
        "settings": config.model_dump(mode="json", include=set(_DECIDING)),
        "choices": asdict(choices),
        "checkpoint": [checkpoint.version, checkpoint.created] if checkpoint else [],
    }
    text = json.dumps(made_of, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _stamps(paths: Sequence[Path]) -> list[list[object]]:
    stats = [path.stat() for path in paths]
    return [[str(p), s.st_size, s.st_mtime_ns] for p, s in zip(paths, stats, strict=True)]


def _versions() -> dict[str, str]:
    found = {}
    for name, package in _SOFTWARE.items():
        with suppress(PackageNotFoundError):
            found[name] = version(package)
    return found
