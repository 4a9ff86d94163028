"""Panels of judged slices."""

from pathlib import Path

import numpy as np
import pytest

from zeus_app.bench.pictures import JudgedSlice, panel, read_slice
from zeus_app.errors import InputError


def a_slice() -> JudgedSlice:
    mask = np.zeros((256, 256), np.uint8)
    mask[100:120, 100:120] = 1
    return JudgedSlice(np.full((256, 256), 90, np.uint8), mask, mask)


def test_the_image_stands_first_then_the_truth_then_each_model() -> None:
    figure = panel({"U-Net": a_slice(), "Zeus": a_slice()}, title="p1")
    assert [ax.get_title() for ax in figure.axes] == ["image", "truth", "U-Net", "Zeus"]


def test_many_models_have_several_rows() -> None:
    figure = panel({str(number): a_slice() for number in range(7)}, title="p1")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:9] == ["image", "truth", *"0123456"]
    assert titles[9:] == ["", "", ""]


def test_a_damaged_slice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p1.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"p1\.npz"):
        read_slice(path)
