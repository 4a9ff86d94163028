"""A linked dataset is a folder of studies for every command, without a copy of its images."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import archives
from zeus_app.datasets.kinds import open_dataset
from zeus_app.datasets.link import link_dataset
from zeus_app.errors import InputError
from zeus_app.labels.mask_files import ImportedLabel, find_masks
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_study


def chaos(root: Path) -> Path:
    archives.chaos(root)
    return root


def brats(root: Path) -> Path:
    archives.brats(root)
    return root


LAYOUTS = {
    "brain": (archives.msd_brain, None),
    "parts": (archives.msd_brain, "brain_tumour_parts"),
    "prostate": (archives.msd_prostate, None),
    "zones": (archives.msd_prostate, "prostate_zones"),
    "nnunet": (archives.nnunet, None),
    "chaos": (chaos, None),
    "brats": (brats, "brain_tumour_parts"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_product_reads_the_same_images_and_masks(tmp_path: Path, layout: str) -> None:
    write, target = LAYOUTS[layout]
    dataset = open_dataset(write(tmp_path / "data"), target)
    linked = link_dataset(dataset, tmp_path / "studies")
    studies = find_studies(tmp_path / "studies", dataset.target).studies
    assert {(name, one.patient) for name, one in studies.items()} == {
        (case.id, case.patient) for case in dataset.cases
    }
    found = find_masks(tmp_path / "studies", dataset.target.reading(linked.convention))
    masks = {mask.study_id: mask.volume for mask in found if isinstance(mask, ImportedLabel)}
    for case in dataset.labelled:
        read, truth = read_study(studies[case.id]), case.truth()
        for name, source in case.sources.items():
            np.testing.assert_array_equal(read.volumes[name].array, source.load().array)
        mask = masks[case.id]
        np.testing.assert_array_equal(mask.array, truth.array)
        assert mask.grid.matches(truth.grid)


def test_images_are_not_copied(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_brain(tmp_path))
    link_dataset(dataset, tmp_path / "studies")
    assert [path.name for path in (tmp_path / "studies").rglob("*")] == ["cases.json"]


def test_png_masks_are_written_as_nifti(tmp_path: Path) -> None:
    dataset = open_dataset(chaos(tmp_path / "data"))
    linked = link_dataset(dataset, tmp_path / "studies")
    assert (linked.labelled, linked.written) == (1, 1)
    assert (tmp_path / "studies" / "labels" / "1.nii.gz").is_file()


def test_chosen_cases_alone_are_listed(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_brain(tmp_path))
    link_dataset(dataset, tmp_path / "studies", only=["BRATS_002"])
    entries = json.loads((tmp_path / "studies" / "cases.json").read_text())
    assert [entry["id"] for entry in entries] == ["BRATS_002"]


def test_a_folder_in_use_stays_as_it_is(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_brain(tmp_path))
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a").write_text("a")
    with pytest.raises(InputError, match="is not empty"):
        link_dataset(dataset, tmp_path / "studies")


def test_the_dataset_itself_is_never_written_to(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_brain(tmp_path))
    with pytest.raises(InputError, match="lies in the dataset"):
        link_dataset(dataset, dataset.folder / "studies")
