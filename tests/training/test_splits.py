"""Who is held back is decided once."""

from pathlib import Path

from zeus_app.training.splits import join_split, patient_of, split_studies


def test_two_patients_are_too_few_to_hold_one_back(tmp_path: Path) -> None:
    split = split_studies(["a", "b"], tmp_path / "splits.json", fraction=0.5, seed=0)
    assert split.train == ("a", "b")
    assert split.validation == ()


def test_of_three_patients_one_is_held_back(tmp_path: Path) -> None:
    split = split_studies(["a", "b", "c"], tmp_path / "splits.json", fraction=0.2, seed=0)
    assert (len(split.train), len(split.validation)) == (2, 1)


def test_a_patient_never_changes_sides_as_others_join(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    known = [f"p{i}" for i in range(3)]
    first = split_studies(known, path, fraction=0.3, seed=0)
    for count in range(4, 20):
        known.append(f"p{count}")
        later = split_studies(known, path, fraction=0.3, seed=count)
        assert set(first.train) <= set(later.train)
        assert set(first.validation) <= set(later.validation)
        first = later
    assert len(first.validation) == 6  # 0.3 of 20 patients


def test_sessions_of_one_patient_stay_on_one_side(tmp_path: Path) -> None:
    studies = [f"sub-{i}_ses-{j}" for i in range(4) for j in range(3)]
    split = split_studies(studies, tmp_path / "splits.json", fraction=0.25, seed=1)
    held_back = {patient_of(study) for study in split.validation}
    assert len(held_back) == 1
    assert held_back.isdisjoint(patient_of(study) for study in split.train)


def test_a_study_that_is_left_out_keeps_its_side_for_later(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    whole = split_studies("abcde", path, fraction=0.2, seed=0)
    held_back = whole.validation[0]
    without = split_studies(whole.train, path, fraction=0.2, seed=5)
    assert set(without.train) <= set(whole.train)
    assert split_studies("abcde", path, fraction=0.2, seed=9).validation[0] == held_back


def test_no_validation_when_none_is_asked_for(tmp_path: Path) -> None:
    assert split_studies("abcdef", tmp_path / "s.json", fraction=0, seed=0).validation == ()


def test_new_patients_are_drawn_by_the_seed() -> None:
    draws = {
        tuple(sorted(join_split({}, "abcdefgh", fraction=0.25, seed=seed).items()))
        for seed in range(8)
    }
    assert len(draws) > 1
