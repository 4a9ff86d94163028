"""Segments become label values by their names, because viewers number segments freely."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tests.server.conftest import SHAPE, affine, head, save
from zeus_app.errors import InputError
from zeus_app.server.context import open_context
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.types import LabelArray

OWN = """
name: own
instance: glioma
labels: [{name: core, value: 3}, {name: edge, value: 1}]
sequences: [{name: T2, prompt_name: MRI-T2, aliases: [t2]}]
"""
CORE, EDGE = 3, 1


@pytest.fixture
def store(tmp_path: Path) -> StudyDatastore:
    save(tmp_path / "studies" / "anna" / "t2.nii.gz", head(1), affine())
    (tmp_path / "own.yaml").write_text(OWN)
    conf = {"target": str(tmp_path / "own.yaml"), "state": str(tmp_path / "state")}
    return open_context(str(tmp_path / "studies"), conf).datastore


def drawn(*values: int) -> LabelArray:
    """A label map with one voxel of each value, along its first axis."""
    label = np.zeros(SHAPE, np.uint8)
    label[: len(values), 0, 0] = values
    return label


def saved_values(store: StudyDatastore, folder: Path, label: LabelArray, info: Any) -> list[int]:
    """What a label's voxels become, in the order of `drawn`."""
    path = save(folder / "l.nii.gz", label, affine())
    store.save_label("anna", str(path), "final", {"label_info": info})
    image = nib.load(store.get_label_uri("anna", "final"))
    values: list[int] = np.asarray(image.dataobj)[:, 0, 0].tolist()
    return values[: np.count_nonzero(label[:, 0, 0])]


def segments(*names: str) -> list[dict[str, object]]:
    """As Slicer's plugin sends them: every segment with its place in the list, counted from 1."""
    return [{"name": name, "idx": place} for place, name in enumerate(names, start=1)]


def test_places_in_slicers_list_become_the_targets_values(
    store: StudyDatastore, tmp_path: Path
) -> None:
    assert saved_values(store, tmp_path, drawn(1, 2), segments("core", "edge")) == [CORE, EDGE]
    assert saved_values(store, tmp_path, drawn(1, 2), segments("edge", "core")) == [EDGE, CORE]


def test_a_segment_that_was_deleted_shifts_no_other(store: StudyDatastore, tmp_path: Path) -> None:
    assert saved_values(store, tmp_path, drawn(1), segments("edge")) == [EDGE]


def test_idx_says_the_value_where_it_is_no_place(store: StudyDatastore, tmp_path: Path) -> None:
    info = [{"name": "core", "idx": 3}, {"name": "edge", "idx": 1}]
    assert saved_values(store, tmp_path, drawn(3, 1), info) == [CORE, EDGE]


def test_without_idx_the_place_counts(store: StudyDatastore, tmp_path: Path) -> None:
    info = [{"name": "core", "color": [1, 0, 0]}, {"name": "edge"}]
    assert saved_values(store, tmp_path, drawn(1, 2), info) == [CORE, EDGE]


@pytest.mark.parametrize("info", [None, []])
def test_without_segments_the_values_are_the_targets(
    store: StudyDatastore, tmp_path: Path, info: object
) -> None:
    assert saved_values(store, tmp_path, drawn(3, 1), info) == [CORE, EDGE]


def test_an_empty_segment_of_any_name_does_no_harm(store: StudyDatastore, tmp_path: Path) -> None:
    assert saved_values(store, tmp_path, drawn(1), segments("core", "Segment_2")) == [CORE]


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
def test_an_unknown_segment_is_refused_and_nothing_is_saved(
    store: StudyDatastore, tmp_path: Path, info: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        saved_values(store, tmp_path, drawn(1, 2), info)
    assert store.get_labeled_images() == []


def test_a_seg_nrrd_names_its_segments_itself(store: StudyDatastore, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(drawn(5, 2).transpose(2, 1, 0))
    image.SetSpacing((1.0, 1.0, 3.0))
    image.SetOrigin((10.0, 12.0, 5.0))  # LPS of (-10, -12, 5)
    image.SetDirection((-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    for number, (name, value) in enumerate({"edge": 5, "core": 2}.items()):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
    sitk.WriteImage(image, str(tmp_path / "l.seg.nrrd"))
    info = {"label_info": segments("core", "edge")}
    store.save_label("anna", str(tmp_path / "l.seg.nrrd"), "final", info)
    saved = np.asarray(nib.load(store.get_label_uri("anna", "final")).dataobj)
    assert saved[:2, 0, 0].tolist() == [EDGE, CORE]
