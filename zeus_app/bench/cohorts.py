"""Who a job learns from and who it judges."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zeus_app.bench.jobs import Job
from zeus_app.bench.labelled_studies import labelled_phantoms, labelled_studies
from zeus_app.bench.suite import Cohort
from zeus_app.datasets.kinds import open_dataset
from zeus_app.datasets.splits import cases_in, split_in_folds
from zeus_app.errors import InputError
from zeus_app.targets import load_target
from zeus_app.types import LabelledStudy

REAL_DATA = "ZEUS_REAL_DATA"
Studies = tuple[LabelledStudy, ...]


@dataclass(frozen=True, eq=False)
class Patients:
    """The labelled studies of one job.

    Attributes:
        learn: what it learns from.
        judged: what it is scored on. No patient is on both sides.
    """

    learn: tuple[LabelledStudy, ...]
    judged: tuple[LabelledStudy, ...]


def missing_data(job: Job, data: Path | None) -> str:
    """Why a job's patients are not on this machine; "" if they seem to be.

    Args:
        job: the job.
        data: the folder of a downloaded dataset, if one was given.
    """
    kind = job.cohort.data
    if kind == "real" and not os.environ.get(REAL_DATA):
        return f"{REAL_DATA} names no folder with real MRI"
    if kind == "dataset" and data is None:
        return f"no folder of {job.cohort_name}: send --data {job.cohort_name}=FOLDER"
    return ""


def open_patients(job: Job, data: Path | None) -> Patients:
    """Find the studies of a job's fold.

    Args:
        job: names the cohort, the fold and the number of training patients.
        data: the folder of a downloaded dataset.

    Raises:
        InputError: the data or a study of the folds is missing, or there are too few patients.
    """
    reason = missing_data(job, data)
    if reason:
        raise InputError(
            reason, expected="the patients of the suite", remedy="see docs/benchmark.md"
        )
    learn, judged = _of_dataset(job, data) if data and not job.cohort.folds else _of_folds(job)
    return Patients(_first_patients(job, learn), judged)


def _of_folds(job: Job) -> tuple[Studies, Studies]:
    """What the fold learns from, in order, and what it judges, by the names of the suite."""
    cohort, studies = job.cohort, {study.id: study for study in _studies(job.cohort)}
    names = [*(name for fold in cohort.folds for name in fold), *cohort.learn]
    absent = [name for name in names if name not in studies]
    if absent:
        raise InputError(
            f"no labelled study {', '.join(absent)}",
            expected="every study of the suite's folds, each with a mask beside it",
            remedy=f"set {REAL_DATA} to the folder that docs/quality.md describes",
        )
    learn = training_order(cohort.folds, job.fold, cohort.learn)
    judged = cohort.folds[job.fold]
    return tuple(studies[name] for name in learn), tuple(studies[name] for name in judged)


def _of_dataset(job: Job, folder: Path) -> tuple[Studies, Studies]:
    """The same of a downloaded dataset: folds by patient, drawn with the cohort's seed."""
    cohort = job.cohort
    dataset = open_dataset(folder, cohort.target)
    split = split_in_folds(dataset, cohort.dataset_folds, seed=cohort.split_seed)
    learn, judged = (
        tuple(case.labelled_study() for case in cases_in(dataset, split.folds[job.fold], part))
        for part in ("train", "test")
    )
    return learn, judged


def training_order(
    folds: Sequence[Sequence[str]], fold: int, learn: Sequence[str] = ()
) -> tuple[str, ...]:
    """The training studies of a fold, in an order that differs from fold to fold.

    Returns:
        The studies of the next fold first, and so on, so that few patients are not always the same;
        then those that no fold judges.
    """
    others = [*folds[fold + 1 :], *folds[:fold]]
    return (*(study for group in others for study in group), *learn)


def _studies(cohort: Cohort) -> list[LabelledStudy]:
    target = load_target(cohort.target)
    names = {name for fold in cohort.folds for name in fold} | set(cohort.learn)
    if cohort.data == "phantoms":
        return labelled_phantoms(target, count=len(names))
    folder = Path(os.environ[REAL_DATA]) / target.name
    return [study for study in labelled_studies(folder, target) if study.id in names]


def _first_patients(job: Job, studies: Studies) -> Studies:
    """The studies of the first of the training patients that the job asks for."""
    patients = list(dict.fromkeys(study.patient for study in studies))
    if job.patients > len(patients):
        raise InputError(
            f"{job.patients} training patients on {job.cohort_name}",
            expected=f"at most {len(patients)} in fold {job.fold}, or 0 for all",
            remedy="lower `patients` in the suite",
        )
    chosen = set(patients[: job.patients or None])
    return tuple(study for study in studies if study.patient in chosen)
