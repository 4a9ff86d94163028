"""Who is learnt from and who is judged."""

from pathlib import Path
from typing import Any

import pytest

from tests.bench.rows import a_suite
from tests.datasets.archives import msd_brain
from zeus_app.bench.cohorts import missing_data, open_patients, training_order
from zeus_app.bench.jobs import Job, plan
from zeus_app.bench.suite import load_suite
from zeus_app.errors import InputError


def a_job(**part: Any) -> Job:
    return plan(a_suite(**part))[0]


def names(studies: Any) -> list[str]:
    return [study.id for study in studies]


def test_a_fold_judges_its_own_studies_and_learns_from_the_next_folds_first() -> None:
    patients = open_patients(a_job(folds=[1]), None)
    assert names(patients.judged) == ["phantom_01"]
    assert names(patients.learn) == ["phantom_02", "phantom_00"]


def test_few_patients_are_the_first_of_the_fold() -> None:
    patients = open_patients(a_job(folds=[1], patients=[1]), None)
    assert names(patients.learn) == ["phantom_02"]


def test_more_patients_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match="at most 2 in fold 0"):
        open_patients(a_job(patients=[3]), None)


def test_studies_that_no_fold_judges_are_learnt_from_last() -> None:
    assert training_order([["a"], ["b"], ["c"]], 1, ["d"]) == ("c", "a", "d")


def test_a_missing_study_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "abdomen").mkdir()
    monkeypatch.setenv("ZEUS_REAL_DATA", str(tmp_path))
    job = plan(load_suite("local"))[0]
    with pytest.raises(InputError, match="no labelled study chaos_37"):
        open_patients(job, None)


def test_real_data_and_datasets_are_missed_before_a_job_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ZEUS_REAL_DATA", raising=False)
    real, dataset = plan(load_suite("local"))[0], plan(load_suite("paper-table4"))[0]
    assert missing_data(real, None) == "ZEUS_REAL_DATA names no folder with real MRI"
    assert missing_data(dataset, None) == "no folder of chaos: send --data chaos=FOLDER"
    assert missing_data(dataset, tmp_path) == ""
    assert missing_data(a_job(), None) == ""
    with pytest.raises(InputError, match="ZEUS_REAL_DATA"):
        open_patients(real, None)


def test_a_downloaded_dataset_is_split_by_patient_and_every_case_is_judged_once(
    tmp_path: Path,
) -> None:
    folder = msd_brain(tmp_path, [f"BRATS_{number:03}" for number in range(1, 5)])
    brain = load_suite("paper-table5").cohorts["msd-brain"].model_dump()
    job = plan(load_suite("paper-table5"))[0].model_dump()
    judged = []
    for fold in (0, 1):
        changed = {**job, "fold": fold, "cohort": {**brain, "dataset_folds": 2}}
        patients = open_patients(Job.model_validate(changed), folder)
        assert not set(names(patients.learn)) & set(names(patients.judged))
        assert len(patients.learn) + len(patients.judged) == 4
        judged += names(patients.judged)
    assert sorted(judged) == ["BRATS_001", "BRATS_002", "BRATS_003", "BRATS_004"]
