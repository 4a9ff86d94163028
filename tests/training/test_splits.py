"""Who is held back is decided once."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from zeus_app.errors import InputError
from zeus_app.storage.pseudonyms import Pseudonyms
from zeus_app.training.splits import join_split, read_sides, split_studies
from zeus_app.types import LabelledStudy


def never() -> NoReturn:
    raise AssertionError("a split reads no study")


def of_patients(patients: Mapping[str, str]) -> dict[str, LabelledStudy]:
    """Study id -> patient, as labelled studies."""
    return {name: LabelledStudy(name, never, never, never, p, ()) for name, p in patients.items()}


def single(patients: Iterable[str]) -> dict[str, LabelledStudy]:
    """One study a patient."""
    return of_patients({name: name for name in patients})


def test_two_patients_are_too_few_to_hold_one_back(tmp_path: Path) -> None:
    split = split_studies(single("ab"), tmp_path / "splits.json", fraction=0.5, seed=0)
    assert split.train == ("a", "b")
    assert split.validation == ()


def test_two_patients_with_several_studies_are_too_few_too(tmp_path: Path) -> None:
    studies = of_patients({"anna_2019": "anna", "anna_2020": "anna", "bob": "bob"})
    split = split_studies(studies, tmp_path / "splits.json", fraction=0.5, seed=0)
    assert split.validation == ()


def test_of_three_patients_one_is_held_back(tmp_path: Path) -> None:
    split = split_studies(single("abc"), tmp_path / "splits.json", fraction=0.2, seed=0)
    assert (len(split.train), len(split.validation)) == (2, 1)


def test_at_least_one_patient_is_left_to_train_on(tmp_path: Path) -> None:
    split = split_studies(single("abc"), tmp_path / "splits.json", fraction=0.99, seed=0)
    assert (len(split.train), len(split.validation)) == (1, 2)


def test_a_patient_never_changes_sides_as_others_join(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    names = [f"p{i}" for i in range(3)]
    first = split_studies(single(names), path, fraction=0.3, seed=0)
    for count in range(4, 20):
        names.append(f"p{count}")
        later = split_studies(single(names), path, fraction=0.3, seed=count)
        assert set(first.train) <= set(later.train)
        assert set(first.validation) <= set(later.validation)
        first = later
    assert len(first.validation) == 6  # 0.3 of 20 patients


@pytest.mark.parametrize("seed", range(5))
def test_all_studies_of_a_patient_fall_on_one_side(tmp_path: Path, seed: int) -> None:
    patients = {f"{name}_{year}": name for name in ("anna", "bob", "eve") for year in (2019, 2020)}
    studies = of_patients(patients)
    split = split_studies(studies, tmp_path / "splits.json", fraction=0.3, seed=seed)
    (held_back,) = {patients[study] for study in split.validation}
    assert set(split.validation) == {f"{held_back}_2019", f"{held_back}_2020"}
    assert len(split.train) == 4


def test_a_new_study_of_a_known_patient_joins_its_side(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    patients = {"anna_2019": "anna", "bob": "bob", "eve": "eve"}
    path.write_text(json.dumps({"anna": "validation", "bob": "train", "eve": "train"}))
    all_patients = {**patients, "anna_2020": "anna", "bob_again": "bob"}
    split = split_studies(of_patients(all_patients), path, fraction=0.2, seed=3)
    assert split.validation == ("anna_2019", "anna_2020")
    assert split.train == ("bob", "bob_again", "eve")


def test_an_excluded_study_keeps_its_side(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    split = split_studies(single("abcde"), path, fraction=0.2, seed=0)
    held_back = split.validation[0]
    without = split_studies(single(split.train), path, fraction=0.2, seed=5)
    assert set(without.train) <= set(split.train)
    later = split_studies(single("abcde"), path, fraction=0.2, seed=9)
    assert later.validation[0] == held_back


def test_held_back_patients_are_not_trained_on_even_when_only_they_are_left(
    tmp_path: Path,
) -> None:
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"anna": "validation", "bob": "train", "eve": "train"}))
    studies = of_patients({"anna_2019": "anna", "anna_2020": "anna"})
    with pytest.raises(InputError, match=r"are left: anna.*validation_fraction to 0"):
        split_studies(studies, path, fraction=0.2, seed=0)


def test_fraction_0_means_no_validation(tmp_path: Path) -> None:
    split = split_studies(single("abcdef"), tmp_path / "s.json", fraction=0, seed=0)
    assert split.validation == ()


def test_without_validation_held_back_patients_are_trained_on_and_keep_their_side(
    tmp_path: Path,
) -> None:
    path = tmp_path / "splits.json"
    sides = json.dumps({"anna": "validation", "bob": "train", "eve": "train"})
    path.write_text(sides)
    split = split_studies(single(["anna", "bob", "eve", "zoe"]), path, fraction=0, seed=0)
    assert split.train == ("anna", "bob", "eve", "zoe")
    assert path.read_text() == sides


def test_with_two_patients_left_a_held_back_one_is_neither_trained_nor_validated_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"anna": "validation", "bob": "train", "eve": "train"}))
    split = split_studies(single(["anna", "bob"]), path, fraction=0.2, seed=0)
    assert (split.train, split.validation) == (("bob",), ())


def test_too_few_patients_fix_no_side(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    sides = json.dumps({"anna": "train", "bob": "validation", "eve": "train"})
    path.write_text(sides)
    split = split_studies(single(["yves", "zoe"]), path, fraction=0.9, seed=0)
    assert split.train == ("yves", "zoe")
    assert path.read_text() == sides


@pytest.mark.parametrize(
    ("patients", "fraction", "why"),
    [
        ("abcd", 0.2, ""),
        ("abcd", 0, "validation_fraction is 0"),
        ("ab", 0.2, "fewer than 3 patients"),
        ("bcd", 0.2, "no study is of a held-back patient"),
    ],
)
def test_a_split_gives_the_reason_why_nobody_is_held_back(
    tmp_path: Path, patients: str, fraction: float, why: str
) -> None:
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"a": "validation", "b": "train", "c": "train", "d": "train"}))
    assert split_studies(single(patients), path, fraction=fraction, seed=0).unvalidated == why


def test_new_patients_are_drawn_by_the_seed() -> None:
    draws = {
        tuple(sorted(join_split({}, "abcdefgh", fraction=0.25, seed=seed).items()))
        for seed in range(8)
    }
    assert len(draws) > 1


def test_the_sides_of_a_split_are_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    assert read_sides(path) == {}
    path.write_text('{"anna": "validation"}')
    assert read_sides(path) == {"anna": "validation"}


def test_the_same_studies_are_held_back_under_every_key_of_pseudonyms(tmp_path: Path) -> None:
    held_back = set()
    for key in range(8):
        pseudonyms = Pseudonyms(bytes([key]) * 32)
        studies = of_patients({name: pseudonyms.of(name) for name in "abcdefgh"})
        path = tmp_path / f"{key}.json"
        held_back.add(split_studies(studies, path, fraction=0.25, seed=0).validation)
    assert len(held_back) == 1


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"anna": "left"}', '{"anna": [1]}', "[" * 10**5])
def test_a_damaged_split_is_refused_and_not_drawn_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "splits.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"splits.json, which .*, is damaged.*from a backup"):
        split_studies(single("abcd"), path, fraction=0.2, seed=0)
    assert path.read_text() == text
