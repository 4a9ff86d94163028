"""Raw datasets of nnU-Net: names in dataset.json tell the labels, splits.json the folds."""

import json
from pathlib import Path

import numpy as np

from tests.datasets import archives
from zeus_app.datasets.kinds import open_dataset


def test_names_in_the_description_tell_what_a_value_means(tmp_path: Path) -> None:
    dataset = open_dataset(archives.nnunet(tmp_path))
    assert dataset.target.name == "abdomen"
    drawn, truth = archives.mask_of("p1", (1, 2, 3, 4)), dataset.cases[0].truth().array
    for value, name in enumerate(("spleen", "liver", "left kidney", "right kidney"), start=1):
        expected = drawn == value
        np.testing.assert_array_equal(truth == dataset.target.label_values[name], expected)


def test_version_1_calls_channels_modality(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    archives.describe(
        folder,
        modality={"0": "T2-SPIR", "1": "T1-in"},
        labels={"0": "background", "1": "liver", "2": "right kidney", "3": "left kidney",
                "4": "spleen"},
        numTraining=2,
    )  # fmt: skip
    case = open_dataset(folder).cases[0]
    numbers = archives.picture(channel=1, case="p1")
    np.testing.assert_array_equal(case.sources["T1-in"].load().array, numbers)
    np.testing.assert_array_equal(case.truth().array, archives.mask_of("p1", (1, 2, 3, 4)))


def test_folds_of_the_folder_are_the_official_split(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    (folder / "splits.json").write_text(json.dumps([{"train": ["p1"], "val": ["p2"]}]))
    assert open_dataset(folder).official == ({"train": ("p1",), "validation": ("p2",)},)


def test_damaged_folds_are_a_problem(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    (folder / "splits_final.json").write_text("[1]")
    (problem,) = open_dataset(folder).problems
    assert "splits_final.json" in problem.text


def test_a_dataset_of_other_labels_makes_a_target_of_its_own(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path, labels={"background": 0, "pancreas": 1, "cyst": 4,
                                               "a": 2, "b": 3})  # fmt: skip
    dataset = open_dataset(folder)
    assert dataset.target.label_values == {"pancreas": 1, "a": 2, "b": 3, "cyst": 4}
    assert dataset.sequences == ("T2-SPIR", "T1-in")


def test_regions_are_read_with_a_target_that_the_user_names(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path, labels={"background": 0, "whole": [1, 2, 3, 4]})
    case = open_dataset(folder, "abdomen").cases[0]
    np.testing.assert_array_equal(case.truth().array, archives.mask_of("p1", (1, 2, 3, 4)))


def test_channels_of_a_brain_make_sequences_by_their_names(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path, channel_names={"0": "T1w", "1": "t1gd"})
    case = open_dataset(folder).cases[0]
    for channel, name in enumerate(("T1w", "t1gd")):
        numbers = archives.picture(channel=channel, case="p1")
        np.testing.assert_array_equal(case.sources[name].load().array, numbers)
