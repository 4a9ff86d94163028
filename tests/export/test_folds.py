"""Folds keep a patient's studies together."""

from zeus_app.export.folds import folds_by_patient


def test_a_patient_is_on_one_side_of_every_fold() -> None:
    patients = {f"s{i}": f"patient {i // 3}" for i in range(20)}
    folds = folds_by_patient(patients)
    assert len(folds) == 5
    for fold in folds:
        assert sorted([*fold["train"], *fold["val"]]) == sorted(patients)
        sides = [{patients[case] for case in fold[side]} for side in ("train", "val")]
        assert sides[0].isdisjoint(sides[1])


def test_each_case_is_validated_once() -> None:
    patients = {f"s{i}": f"patient {i // 3}" for i in range(20)}
    held_back = [case for fold in folds_by_patient(patients) for case in fold["val"]]
    assert sorted(held_back) == sorted(patients)


def test_few_patients_make_few_folds_and_one_makes_none() -> None:
    assert len(folds_by_patient({"a": "1", "b": "2", "c": "2"})) == 2
    assert folds_by_patient({"a": "1", "b": "1"}) == []
