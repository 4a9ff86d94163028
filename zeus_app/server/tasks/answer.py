"""The answer to an inference: the file with the mask, in the format that the client asks for."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeus_app.errors import InputError
from zeus_app.labels.files import DTYPES, extension_of, write_label
from zeus_app.types import Volume


@dataclass(frozen=True)
class AnswerFormat:
    """The file format of a mask.

    Attributes:
        extension: ending of the file, for example ".nii.gz".
        dtype: name of the voxels' NumPy dtype.
        is_packed: whether the voxels of NRRD are gzip. OHIF reads packed voxels as numbers of two
            bytes, so it shows no mask of an odd number of voxels.
    """

    extension: str
    dtype: str
    is_packed: bool = True


def read_format(request: Mapping[str, Any]) -> AnswerFormat:
    """Read `result_extension`, `result_dtype` and `result_compress`, which stock clients send.

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
    is_packed = request.get("result_compress") is not False
    return AnswerFormat(extension_of(f"result.{extension.lstrip('.')}"), dtype, is_packed)


def write_answer(label: Volume, names: Mapping[str, int], answer_format: AnswerFormat) -> Path:
    """Write a mask to a new temporary file, which MONAI Label deletes after sending it."""
    handle, name = tempfile.mkstemp(prefix="zeus-", suffix=answer_format.extension)
    os.close(handle)
    path = Path(name)
    try:
        write_label(
            path, label, names=names, dtype=answer_format.dtype, is_packed=answer_format.is_packed
        )
    except BaseException:
        path.unlink()
        raise
    return path
