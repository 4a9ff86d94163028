"""The answer to an inference: the file with the mask, and the parameters sent with it."""

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
from zeus_app.types import Segmentation, Volume


@dataclass(frozen=True)
class AnswerFormat:
    """The file format of a mask.

    Attributes:
        extension: ending of the file, for example ".nii.gz".
        dtype: name of the voxels' NumPy dtype.
    """

    extension: str
    dtype: str


def read_format(request: Mapping[str, Any]) -> AnswerFormat:
    """Read `result_extension` and `result_dtype`, which stock clients send.

    Raises:
        InputError: Zeus does not write this format or dtype.
    """
    extension = str(request.get("result_extension") or ".nii.gz")
    dtype = str(request.get("result_dtype") or "uint8")
    if dtype not in DTYPES:
        raise InputError(
            f"result_dtype {dtype!r}",
            expected=", ".join(DTYPES),
            remedy='send one of these, for example {"result_dtype": "uint8"}',
        )
    return AnswerFormat(extension_of(f"result.{extension.lstrip('.')}"), dtype)


def answer_params(segmentation: Segmentation, config: ZeusConfig, target: Target) -> dict[str, Any]:
    """The parameters that go to the client with the mask, ready for JSON."""
    return {
        "label_names": target.label_values,
        "study": segmentation.study_id,
        "instructions": [
            {
                "sequence": instruction.sequence,
                "slice": instruction.slice_index,
                "label": instruction.label,
                "text": instruction.text,
                "model": instruction.model,
                "notice": instruction.notice,
            }
            for instruction in segmentation.instructions
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
    """The labels that a mask contains; 3D Slicer gives the mask's n-th value the n-th name."""
    values = set(np.unique(mask).tolist())
    return {name: value for name, value in names.items() if value in values}


def write_answer(label: Volume, names: Mapping[str, int], answer_format: AnswerFormat) -> Path:
    """Write a mask to a new temporary file, which MONAI Label deletes after sending it."""
    handle, name = tempfile.mkstemp(prefix="zeus-", suffix=answer_format.extension)
    os.close(handle)
    path = Path(name)
    try:
        write_label(path, label, names=names, dtype=answer_format.dtype)
    except BaseException:
        path.unlink()
        raise
    return path


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in values.items()}
