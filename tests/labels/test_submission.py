"""A submitted label gets the target's values by the names of its segments, on its image's grid."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tests.server.conftest import SHAPE, affine, save
from zeus_app.errors import InputError
from zeus_app.labels.files import write_label
from zeus_app.labels.submission import read_submitted_label
from zeus_app.targets import Target, load_target
from zeus_app.types import Grid, LabelArray, Volume

OWN = """
name: own
instance: glioma
labels: [{name: core, value: 3}, {name: edge, value: 1}]
sequences: [{name: T2, prompt_name: MRI-T2, aliases: [t2]}]
"""
CORE, EDGE = 3, 1
GRID = Grid((24, 20, 6), affine())


@pytest.fixture
def own_target(tmp_path: Path) -> Target:
    (tmp_path / "own.yaml").write_text(OWN)
    return load_target(str(tmp_path / "own.yaml"))


def drawn(*values: int) -> LabelArray:
    """A label map with one voxel of each value, along its first axis."""
    label = np.zeros(SHAPE, np.uint8)
    label[: len(values), 0, 0] = values
    return label


def read_values(target: Target, folder: Path, label: LabelArray, info: object) -> list[int]:
    """The target's values of a submitted label's voxels, in the order of `drawn`."""
    path = save(folder / "l.nii.gz", label, affine())
    read = read_submitted_label(path, target=target, grid=GRID, label_info=info)
    assert read.array.dtype == np.uint8
    values: list[int] = read.array[:, 0, 0].tolist()
    return values[: np.count_nonzero(label[:, 0, 0])]


def segments(*names: str) -> list[dict[str, object]]:
    """As Slicer's plugin sends them: every segment with its number in the list, from 1."""
    return [{"name": name, "idx": number} for number, name in enumerate(names, start=1)]


def test_places_in_slicers_list_become_the_targets_values(
    own_target: Target, tmp_path: Path
) -> None:
    assert read_values(own_target, tmp_path, drawn(1, 2), segments("core", "edge")) == [CORE, EDGE]
    assert read_values(own_target, tmp_path, drawn(1, 2), segments("edge", "core")) == [EDGE, CORE]


def test_a_segment_that_was_deleted_shifts_no_other(own_target: Target, tmp_path: Path) -> None:
    assert read_values(own_target, tmp_path, drawn(1), segments("edge")) == [EDGE]


def test_idx_says_the_value_where_it_is_no_place(own_target: Target, tmp_path: Path) -> None:
    info = [{"name": "core", "idx": 3}, {"name": "edge", "idx": 1}]
    assert read_values(own_target, tmp_path, drawn(3, 1), info) == [CORE, EDGE]


def test_without_idx_the_place_counts(own_target: Target, tmp_path: Path) -> None:
    info = [{"name": "core", "color": [1, 0, 0]}, {"name": "edge"}]
    assert read_values(own_target, tmp_path, drawn(1, 2), info) == [CORE, EDGE]


@pytest.mark.parametrize("info", [None, []])
def test_without_segments_the_values_are_the_targets(
    own_target: Target, tmp_path: Path, info: object
) -> None:
    assert read_values(own_target, tmp_path, drawn(3, 1), info) == [CORE, EDGE]


def test_an_empty_segment_of_any_name_does_no_harm(own_target: Target, tmp_path: Path) -> None:
    assert read_values(own_target, tmp_path, drawn(1), segments("core", "Segment_2")) == [CORE]


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (segments("core", "Segment_2"), "'Segment_2'"),
        (segments("core"), "value 2, of no segment"),
        ([3], "label_info"),
        ("core", "label_info"),
        ([{"idx": 1}], "label_info"),
        ([{"name": "core", "idx": "one"}], "label_info"),
    ],
)
def test_an_unknown_segment_is_refused(
    own_target: Target, tmp_path: Path, info: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_values(own_target, tmp_path, drawn(1, 2), info)


def test_a_seg_nrrd_names_its_segments_itself(own_target: Target, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(drawn(5, 2).transpose(2, 1, 0))
    image.SetSpacing((1.0, 1.0, 3.0))
    image.SetOrigin((10.0, 12.0, 5.0))  # LPS of (-10, -12, 5)
    image.SetDirection((-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    for number, (name, value) in enumerate({"edge": 5, "core": 2}.items()):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
    sitk.WriteImage(image, str(tmp_path / "l.seg.nrrd"))
    listed = segments("core", "edge")
    read = read_submitted_label(
        tmp_path / "l.seg.nrrd", target=own_target, grid=GRID, label_info=listed
    )
    assert read.array[:2, 0, 0].tolist() == [EDGE, CORE]


def test_a_file_in_another_storage_order_is_read_on_the_image_s_grid(
    own_target: Target, tmp_path: Path
) -> None:
    label = drawn(3, 1)
    image = nib.Nifti1Image(label, affine()).as_reoriented(np.array([[1, 1], [0, -1], [2, 1]]))
    nib.save(image, tmp_path / "l.nii.gz")
    read = read_submitted_label(tmp_path / "l.nii.gz", target=own_target, grid=GRID)
    assert read.grid.matches(GRID)
    assert (read.array == label).all()


def test_a_value_of_no_label_is_refused(own_target: Target, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"values of no label of the target: 2\. Expected.* 3, 1"):
        read_values(own_target, tmp_path, drawn(2), None)


@pytest.mark.parametrize("name", ["l.nii.gz", "l.nii", "l.nrrd", "l.seg.nrrd"])
@pytest.mark.parametrize("off", [-1e-4, 1e-7, 0.004])
def test_imprecise_values_are_rounded_before_segments_are_named(
    own_target: Target, tmp_path: Path, name: str, off: float
) -> None:
    path = tmp_path / name
    stored = Volume((drawn(1, 2) * (1 + off)).astype(np.float32), affine())
    write_label(path, stored, names={"core": 1, "edge": 2}, dtype="float32")
    read = read_submitted_label(
        path, target=own_target, grid=GRID, label_info=segments("core", "edge")
    )
    assert read.array[:3, 0, 0].tolist() == [CORE, EDGE, 0]


@pytest.mark.parametrize("value", [0.5, np.nan, 0.98])
def test_fractions_are_refused_with_the_value_and_the_remedy(
    own_target: Target, tmp_path: Path, value: float
) -> None:
    path = save(tmp_path / "l.nii.gz", np.full(SHAPE, value, np.float32), affine())
    with pytest.raises(InputError, match=rf"label file l.nii.gz: .*: {value}\..*threshold of 0.5"):
        read_submitted_label(path, target=own_target, grid=GRID)


@pytest.mark.parametrize("value", [-1, 256, 300])
def test_values_beyond_a_byte_are_refused_and_never_wrapped(
    own_target: Target, tmp_path: Path, value: int
) -> None:
    path = save(tmp_path / "l.nii.gz", np.full(SHAPE, value, np.int16), affine())
    with pytest.raises(InputError, match=rf"no label of the target: {value}\. "):
        read_submitted_label(path, target=own_target, grid=GRID)


@pytest.mark.parametrize("name", ["label.nii.gz", "label.nrrd"])
def test_a_label_of_another_size_is_refused_before_a_voxel_is_read(
    own_target: Target, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    write_label(path, Volume(np.zeros((9, 9, 9), np.uint8), np.eye(4)), names={})
    monkeypatch.setattr("zeus_app.labels.files.read_voxels", pytest.fail)
    with pytest.raises(InputError, match=r"shape 9×9×9.*the image's shape, 4×4×3"):
        read_submitted_label(path, target=own_target, grid=Grid((4, 4, 3), np.eye(4)))
