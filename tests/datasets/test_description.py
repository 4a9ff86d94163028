"""dataset.json of both versions."""

from pathlib import Path
from typing import Any

import pytest

from tests.datasets.archives import describe
from zeus_app.datasets.description import described_target, read_description
from zeus_app.errors import InputError

V1: dict[str, Any] = {"modality": {"0": "T2"}, "labels": {"0": "background", "2": "PZ"}}


def test_labels_of_version_1_are_told_by_value(tmp_path: Path) -> None:
    describe(tmp_path, **V1)
    assert read_description(tmp_path).labels == {2: "PZ"}


def test_labels_of_version_2_are_told_by_name(tmp_path: Path) -> None:
    describe(tmp_path, channel_names={"0": "T2"}, labels={"background": 0, "PZ": 2})
    assert read_description(tmp_path).labels == {2: "PZ"}


def test_regions_are_told_apart(tmp_path: Path) -> None:
    describe(tmp_path, channel_names={"0": "T2"}, labels={"whole": [1, 2], "core": 2})
    found = read_description(tmp_path)
    assert (found.labels, found.regions) == ({2: "core"}, ("whole",))


def test_images_are_told_by_their_file_names(tmp_path: Path) -> None:
    describe(tmp_path, **V1, training=[{"image": "./imagesTr/a.nii.gz"}], test=["imagesTs/b.nii"])
    found = read_description(tmp_path)
    assert (found.training, found.test) == (("a.nii.gz",), ("b.nii",))


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"modality": {}, "labels": 1}', "[" * 50_000,
             '{"modality": {"a": "T2"}, "labels": {}}'],
    ids=range(7),
)  # fmt: skip
def test_a_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match="describes no dataset"):
        read_description(tmp_path)


@pytest.mark.parametrize(
    ("channels", "labels"),
    [
        ({"0": "T2"}, {"whole": [1, 2], "core": 2}),
        ({"0": "T2"}, {"organ": 256}),
        ({"0": "T2"}, {"background": 0}),
        ({"0": "a\nb"}, {"organ": 1}),
    ],
    ids=["regions", "value", "none", "channel"],
)
def test_what_no_target_may_have_is_refused(
    tmp_path: Path, channels: dict[str, str], labels: dict[str, object]
) -> None:
    describe(tmp_path, channel_names=channels, labels=labels)
    with pytest.raises(InputError, match="no target can be made"):
        described_target(read_description(tmp_path))
