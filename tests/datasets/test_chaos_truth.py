"""Which PNG belongs to which DICOM image, and what its grey values mean."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets import archives
from tests.datasets.archives import T1_PLAN, ChaosPlan
from zeus_app.datasets.chaos_truth import GREYS
from zeus_app.datasets.dataset import Case
from zeus_app.datasets.kinds import open_dataset
from zeus_app.errors import InputError


def only_case(root: Path) -> Case:
    return open_dataset(root).cases[0]


def ground(root: Path) -> list[Path]:
    return sorted((root / "Train_Sets" / "MR" / "1" / "T2SPIR" / "Ground").iterdir())


def test_png_files_of_other_names_follow_the_instance_numbers(tmp_path: Path) -> None:
    """slice_10 comes after slice_2, and the images were taken downwards."""
    archives.chaos(tmp_path, plan=ChaosPlan(are_named_alike=False))
    truth = only_case(tmp_path).truth("T1-in")
    np.testing.assert_array_equal(truth.array, archives.organs(T1_PLAN.shape)[:, :, ::-1])


def test_a_missing_png_is_refused_and_named(tmp_path: Path) -> None:
    archives.chaos(tmp_path)
    ground(tmp_path)[2].unlink()
    with pytest.raises(InputError, match=r"5 PNG files for 6 DICOM images.*IMG-0004-00003"):
        only_case(tmp_path).truth()


def test_a_png_of_another_size_is_refused(tmp_path: Path) -> None:
    archives.chaos(tmp_path)
    Image.new("L", (11, 14)).save(ground(tmp_path)[0])
    with pytest.raises(InputError, match=r"11×14 pixels.*14×11"):
        only_case(tmp_path).truth()


def test_a_damaged_png_is_refused(tmp_path: Path) -> None:
    archives.chaos(tmp_path)
    ground(tmp_path)[0].write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match="cannot be read"):
        only_case(tmp_path).truth()


def test_files_of_macos_beside_the_png_files_are_ignored(tmp_path: Path) -> None:
    archives.chaos(tmp_path)
    path = ground(tmp_path)[0]
    path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    assert only_case(tmp_path).truth().array.any()


@pytest.mark.parametrize(
    ("grey", "organ"),
    [(55, "liver"), (63, "liver"), (70, "liver"), (110, "right kidney"), (135, "right kidney"),
     (189, "left kidney"), (200, "left kidney"), (240, "spleen"), (255, "spleen")],
)  # fmt: skip
def test_the_ranges_of_grey_values_are_those_that_chaos_names(grey: int, organ: str) -> None:
    assert [name for name, greys in GREYS.items() if grey in greys] == [organ]


@pytest.mark.parametrize("grey", [1, 54, 71, 109, 136, 174, 201, 239])
def test_a_grey_value_of_no_organ_is_refused(tmp_path: Path, grey: int) -> None:
    archives.chaos(tmp_path)
    pixels = np.zeros((11, 14), np.uint8)
    pixels[0, 0] = grey
    Image.fromarray(pixels).save(ground(tmp_path)[0])
    with pytest.raises(InputError, match=f"values {grey} are no label"):
        only_case(tmp_path).truth()
