"""The file of an answer has the format that the client asks for."""

from typing import Any

import numpy as np
import pytest

from zeus_app.errors import InputError
from zeus_app.server.tasks.answer import read_format, write_answer
from zeus_app.types import Volume

OHIF = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False}


def written(**request: Any) -> bytes:
    array = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    path = write_answer(Volume(array, np.eye(4)), {"lesion": 1}, read_format(request))
    content = path.read_bytes()
    path.unlink()
    return content


def test_ohif_gets_plain_voxels_the_first_axis_fastest() -> None:
    header, voxels = written(**OHIF).split(b"\n\n", 1)
    assert b"encoding: raw" in header
    assert b"type: unsigned char" in header
    assert b"sizes: 3 3 3" in header
    assert list(voxels[:4]) == [0, 9, 18, 3]
    assert len(voxels) == 27


@pytest.mark.parametrize("request_", [{}, {"result_compress": True}, {"result_compress": ""}])
def test_others_get_packed_voxels(request_: dict[str, object]) -> None:
    assert b"encoding: gzip" in written(result_extension=".nrrd", **request_)


def test_nifti_is_the_default() -> None:
    assert written()[:2] == b"\x1f\x8b"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError, match=r"label file named 'result\.mha'"):
        read_format({"result_extension": ".mha"})
    with pytest.raises(InputError, match="result_dtype 'text'"):
        read_format({"result_dtype": "text"})
