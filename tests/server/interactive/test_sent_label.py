"""The label file of an inference, as 3D Slicer's scribbles and plain clients send it."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk

from tests.server.conftest import SHAPE, affine, save
from zeus_app.errors import InputError, TooLargeError
from zeus_app.labels.files import write_label
from zeus_app.server.interactive.sent_label import DrawnMasks, read_sent_label
from zeus_app.targets import Target, load_target
from zeus_app.types import Grid, Volume

PHANTOM, ABDOMEN = load_target("phantom"), load_target("abdomen")
GRIDS = {"T2": Grid(SHAPE, affine()), "FLAIR": Grid((12, 10, 6), affine((2.0, 2.0, 3.0)))}
SLICER = [
    {"name": "lesion", "id": 1},
    {"name": "cyst", "id": 2},
    {"name": "background_scribbles", "id": 3},
    {"name": "foreground_scribbles", "id": 4},
]
"""As the module of 3D Slicer numbers the segments of its scene."""


def drawn(*values: float, shape: tuple[int, int, int] = SHAPE) -> npt.NDArray[np.float32]:
    """One voxel of each value, along the first axis."""
    array = np.zeros(shape, np.float32)
    array[: len(values), 0, 0] = values
    return array


def read(
    path: Path, target: Target = PHANTOM, label: str = "lesion", info: Any = None
) -> DrawnMasks:
    return read_sent_label(
        path, target=target, label=label, label_info=info, grids=GRIDS, max_voxels=10_000
    )


def of_file(folder: Path, *values: float, **how: Any) -> DrawnMasks:
    return read(save(folder / "label.nii.gz", drawn(*values), affine()), **how)


def row(volume: Volume | None) -> list[int]:
    assert volume is not None
    assert volume.array.dtype == np.uint8 or volume.array.dtype == np.float32
    values: list[int] = volume.array[:6, 0, 0].astype(int).tolist()
    return values


def test_slicer_s_scribbles_are_known_by_the_names_of_their_segments(tmp_path: Path) -> None:
    masks = of_file(tmp_path, 3, 4, 0, 4, info=SLICER)
    assert row(masks.scribbles) == [2, 3, 0, 3, 0, 0]
    assert masks.initial is None


@pytest.mark.parametrize(("label", "value", "mask"), [("lesion", 1, [1, 0]), ("cyst", 2, [0, 2])])
def test_the_segment_of_the_label_is_the_mask_to_refine_and_others_are_not_used(
    tmp_path: Path, label: str, value: int, mask: list[int]
) -> None:
    masks = of_file(tmp_path, 1, 2, 4, info=SLICER, label=label)
    assert row(masks.scribbles) == [0, 0, 3, 0, 0, 0]
    assert row(masks.initial) == [*mask, 0, 0, 0, 0]


def test_names_count_before_the_values_that_scribbles_have_without_names(tmp_path: Path) -> None:
    info = [{"name": "foreground_scribbles", "id": 1}, {"name": "lesion", "id": 3}]
    masks = of_file(tmp_path, 1, 3, info=info)
    assert row(masks.scribbles)[:2] == [3, 0]
    assert row(masks.initial)[:2] == [0, 1]


def test_without_names_2_is_outside_the_label_and_3_is_on_it(tmp_path: Path) -> None:
    masks = of_file(tmp_path, 3, 2, 2.9999, 1.996)
    assert row(masks.scribbles) == [3, 2, 3, 2, 0, 0]
    assert masks.initial is None


def test_the_label_s_own_value_beside_them_is_the_mask_to_refine(tmp_path: Path) -> None:
    """As older modules of 3D Slicer export one segment and the scribbles."""
    masks = of_file(tmp_path, 1, 2, 3)
    assert row(masks.scribbles) == [0, 2, 3, 0, 0, 0]
    assert row(masks.initial) == [1, 0, 0, 0, 0, 0]


def test_values_of_several_labels_without_names_are_refused_with_the_way_out(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"scribbles, and 1, 4\. .*label_info"):
        of_file(tmp_path, 1, 2, 3, 4, target=ABDOMEN, label="right kidney")


def test_a_plain_mask_is_the_mask_to_refine(tmp_path: Path) -> None:
    masks = of_file(tmp_path, 1, 1, 0, 1)
    assert masks.scribbles is None
    assert row(masks.initial) == [1, 1, 0, 1, 0, 0]


def test_a_mask_with_named_segments_gets_the_target_s_values(tmp_path: Path) -> None:
    masks = of_file(tmp_path, 2, 1, info=[{"name": "cyst", "idx": 1}, {"name": "lesion", "idx": 2}])
    assert masks.scribbles is None
    assert row(masks.initial)[:2] == [1, 2]


def test_a_file_without_a_mark_is_nothing_to_work_with(tmp_path: Path) -> None:
    masks = of_file(tmp_path, info=SLICER)
    assert row(masks.scribbles) == [0] * 6
    assert masks.initial is None


@pytest.mark.parametrize(
    ("values", "how", "reason"),
    [
        ((0.5,), {}, r"whole numbers: 0\.5"),
        ((np.nan,), {}, "whole numbers: nan"),
        ((-1,), {}, "values of no label of the target: -1"),
        ((300,), {}, "values of no label of the target: 300"),
        ((2, 300), {}, "scribbles, and 300"),
        ((1,), {"info": [{"name": "kidney", "id": 1}]}, "segment 'kidney'"),
        ((1,), {"info": [{"name": "lesion", "id": True}]}, "label_info"),
        ((1,), {"info": {"lesion": 1}}, "label_info"),
        ((1,), {"info": "lesion"}, "label_info"),
    ],
)
def test_what_has_no_meaning_is_refused(
    tmp_path: Path, values: tuple[float, ...], how: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        of_file(tmp_path, *values, **how)


def test_scribbles_may_lie_on_the_grid_of_any_sequence_in_any_storage_order(tmp_path: Path) -> None:
    on_flair = save(tmp_path / "a.nii.gz", drawn(3, shape=(12, 10, 6)), affine((2.0, 2.0, 3.0)))
    assert read(on_flair).scribbles is not None
    turned = affine(flip=(-1, 1, 1))
    turned[0, 3] += SHAPE[0] - 1
    assert read(save(tmp_path / "b.nii.gz", drawn(3), turned)).scribbles is not None


def test_a_file_on_another_grid_is_refused_before_a_voxel_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = affine()
    away[0, 3] += 1
    path = save(tmp_path / "label.nii.gz", drawn(3), away)
    monkeypatch.setattr("zeus_app.server.interactive.sent_label.read_voxels", pytest.fail)
    with pytest.raises(InputError, match=r"another grid than .*that of FLAIR"):
        read(path)
    large = save(tmp_path / "large.nii.gz", np.zeros((30, 30, 30), np.uint8), affine())
    with pytest.raises(TooLargeError, match="27000 voxels"):
        read(large)


def test_too_many_scribbled_voxels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeus_app.server.interactive.sent_label.MAX_SCRIBBLED_VOXELS", 3)
    with pytest.raises(InputError, match="scribbles of 4 voxels"):
        of_file(tmp_path, 2, 3, 3, 3)


@pytest.mark.parametrize("name", ["label.nrrd", "label.seg.nrrd", "label.nii", "label.mha"])
def test_scribbles_come_in_every_format_that_slicer_saves(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".mha"):
        nrrd = tmp_path / "label.nrrd"
        write_label(nrrd, Volume(drawn(2, 3), affine()), names={})
        sitk.WriteImage(sitk.ReadImage(str(nrrd)), str(path))
    else:
        write_label(path, Volume(drawn(2, 3), affine()), names={})
    assert row(read(path).scribbles)[:2] == [2, 3]
