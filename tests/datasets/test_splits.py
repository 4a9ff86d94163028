"""Splits keep patients together, are repeatable, and belong to one dataset."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.datasets import archives
from zeus_app.datasets.dataset import Case, Dataset
from zeus_app.datasets.kinds import open_dataset
from zeus_app.datasets.splits import (
    PARTS,
    cases_in,
    load_split,
    official_split,
    save_split,
    split_by_fractions,
    split_in_folds,
)
from zeus_app.errors import InputError
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target, target_of

CASES = ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001", *(f"BraTS-GLI-{n:05d}-000"
                                                         for n in range(2, 10)))  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Ten cases of nine patients."""
    for case in CASES:
        archives.brats(tmp_path / "data", case, words=("-t2f",), mask="-seg", values=(1, 2, 3))
        archives.save(tmp_path / "data" / case / f"{case}-t1c.nii.gz", archives.picture())
    return open_dataset(tmp_path / "data")


def patients(dataset: Dataset, ids: tuple[str, ...]) -> set[str]:
    return {case.patient for case in dataset.cases if case.id in ids}


def test_no_patient_lies_in_two_parts(dataset: Dataset) -> None:
    for seed in range(20):
        (fold,) = split_by_fractions(dataset, (0.5, 0.2, 0.3), seed=seed).folds
        parts = [patients(dataset, fold[part]) for part in PARTS]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 9


def test_parts_have_their_shares_of_the_patients(dataset: Dataset) -> None:
    """9 patients by 0.5, 0.2 and 0.3: 4.5, 1.8 and 2.7, so 4, 2 and 3."""
    (fold,) = split_by_fractions(dataset, (0.5, 0.2, 0.3), seed=3).folds
    assert [len(patients(dataset, fold[part])) for part in PARTS] == [4, 2, 3]


def test_a_small_share_gets_one_patient(dataset: Dataset) -> None:
    (fold,) = split_by_fractions(dataset, (0.98, 0.01, 0.01), seed=0).folds
    assert [len(patients(dataset, fold[part])) for part in PARTS] == [7, 1, 1]


def test_a_share_of_0_leaves_the_part_empty(dataset: Dataset) -> None:
    (fold,) = split_by_fractions(dataset, (0.8, 0, 0.2), seed=0).folds
    assert fold["validation"] == ()


def test_the_same_seed_gives_the_same_split_and_another_seed_another(dataset: Dataset) -> None:
    first, again, other = (split_by_fractions(dataset, (0.6, 0.2, 0.2), seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.folds != other.folds


def test_each_patient_is_tested_in_exactly_one_fold(dataset: Dataset) -> None:
    folds = split_in_folds(dataset, 4, seed=0).folds
    tested = [patient for fold in folds for patient in patients(dataset, fold["test"])]
    assert sorted(tested) == sorted({case.patient for case in dataset.cases})
    for fold in folds:
        assert patients(dataset, fold["train"]).isdisjoint(patients(dataset, fold["test"]))


def test_cases_without_truth_take_no_part(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_brain(tmp_path))
    (fold,) = split_by_fractions(dataset, (0.5, 0, 0.5), seed=0).folds
    assert sorted(case for part in PARTS for case in fold[part]) == ["BRATS_001", "BRATS_002"]


def test_a_saved_split_is_read_as_it_was(dataset: Dataset, tmp_path: Path) -> None:
    split = split_in_folds(dataset, 3, seed=7)
    save_split(split, tmp_path / "split.json")
    assert load_split(tmp_path / "split.json", dataset) == split


def test_the_file_names_the_seed_and_the_dataset(dataset: Dataset, tmp_path: Path) -> None:
    save_split(split_in_folds(dataset, 3, seed=7), tmp_path / "split.json")
    content = json.loads((tmp_path / "split.json").read_text())
    assert content["seed"] == 7
    assert content["dataset"] == {
        "kind": "brats", "name": "data", "identity": dataset.identity, "cases": 10,
    }  # fmt: skip


def test_another_split_replaces_no_file(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    save_split(split_in_folds(dataset, 3, seed=7), path)
    save_split(split_in_folds(dataset, 3, seed=7), path)
    with pytest.raises(InputError, match="holds another split"):
        save_split(split_in_folds(dataset, 3, seed=8), path)
    save_split(split_in_folds(dataset, 3, seed=8), path, replace=True)
    assert load_split(path, dataset).seed == 8


def test_a_split_of_another_dataset_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    save_split(split_in_folds(dataset, 3, seed=7), tmp_path / "split.json")
    fewer = replace(dataset, cases=dataset.cases[1:])
    with pytest.raises(InputError, match=r"10 cases.*9 cases"):
        load_split(tmp_path / "split.json", fewer)


def test_a_file_that_separates_a_patient_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    split = split_in_folds(dataset, 3, seed=7)
    torn = replace(split, folds=({"train": CASES[:1], "test": CASES[1:]},))
    save_split(torn, tmp_path / "split.json")
    with pytest.raises(InputError, match="BraTS-GLI-00001 in test and in train"):
        load_split(tmp_path / "split.json", dataset)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', "[" * 5000])
def test_a_damaged_file_is_refused(dataset: Dataset, tmp_path: Path, text: str) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(InputError, match="is no split"):
        load_split(tmp_path / "split.json", dataset)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.4, 0.2), (1.5, -0.5, 0), ()])
def test_shares_that_are_none_are_refused(dataset: Dataset, shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="three shares"):
        split_by_fractions(dataset, shares, seed=0)


def test_more_folds_than_patients_are_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="2 to 9 folds"):
        split_in_folds(dataset, 10, seed=0)


def test_official_folds_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    folds = [{"train": ["p1"], "val": ["p2"]}, {"train": ["p2"], "val": ["p1"]}]
    (folder / "splits_final.json").write_text(json.dumps(folds))
    assert official_split(open_dataset(folder)).folds == (
        {"train": ("p1",), "validation": ("p2",)}, {"train": ("p2",), "validation": ("p1",)},
    )  # fmt: skip


def test_a_dataset_without_official_folds_says_so(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="names no split"):
        official_split(dataset)


def test_the_cases_of_a_part_are_found(dataset: Dataset) -> None:
    cases: tuple[Case, ...] = cases_in(dataset, {"train": CASES[2:4]}, "train")
    assert [case.id for case in cases] == list(CASES[2:4])


def test_the_identity_does_not_depend_on_the_target(dataset: Dataset) -> None:
    parts = open_dataset(dataset.folder, load_target("brain_tumour_parts"))
    flair = open_dataset(dataset.folder, target_of(ZeusConfig.from_conf(
        {"target": "brain_tumour", "sequences": "FLAIR"})))  # fmt: skip
    assert dataset.identity == parts.identity == flair.identity
