"""Made-up suites, jobs and rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zeus_app.bench.jobs import Job, plan
from zeus_app.bench.row import DONE, Rows, identity
from zeus_app.bench.suite import Suite

PHANTOM_FOLDS = [["phantom_00"], ["phantom_01"], ["phantom_02"]]
COHORT = {"data": "phantoms", "target": "phantom", "folds": PHANTOM_FOLDS}
PAPER = {"match": {"fusion": "late"}, "parameters_m": 54.94, "figures": {"c": [81.76, 80.5]}}


def a_suite(**changes: Any) -> Suite:
    """Two models, early and late, on one fold of the phantoms; `changes` are those of the part."""
    part = {"name": "p", "title": "Fusions", "cohort": "c", "seconds": 100,
            "entries": [{"model": "quick", "fusion": ["early", "late"]}], **changes}  # fmt: skip
    left_out = {"what": "MISSFormer", "why": "too large"}
    content = {"name": "tiny", "about": "two models", "cohorts": {"c": COHORT}, "parts": [part],
               "paper": [PAPER], "not_run": [left_out]}  # fmt: skip
    return Suite.model_validate(content)


def scores(dsc: float, iou: float, **changes: Any) -> dict[str, Any]:
    """A case with one label."""
    return {
        "patient": "one", "preparation_s": 2.0, "seconds": 1.0, "dsc": {"lesion": dsc},
        "iou": {"lesion": iou}, "lesion_f1": {"lesion": 0.5}, "hd95_mm": {"lesion": 4.0},
        "background": {"dsc": 1.0, "iou": 1.0}, **changes,
    }  # fmt: skip


def a_row(job: Job, cases: Mapping[str, Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
    return {
        **identity(job), "commit": "abc1234", "status": DONE, "cases": cases, "subsets": {},
        "preparation_s": 10.0, "training_s": 90.0, "steps": 30, "step_s": 3.0, "epoch_s": 9.0,
        "epochs": 2, "curve": [[45.0, 0.9, None], [90.0, 0.5, None]], "peak_mib": 900.0,
        "trained_parameters": 1_500_000, "total_parameters": 2_000_000, "wall_s": 130.0,
        "machine": {"processor": "CPU X", "threads": 2}, **changes,
    }  # fmt: skip


def stored(suite: Suite, folder: Path, of_models: Sequence[Mapping[str, Any]]) -> Rows:
    """Rows of the first jobs, with these cases."""
    rows = Rows(folder / suite.name)
    for job, cases in zip(plan(suite), of_models, strict=False):
        rows.put(a_row(job, cases))
    return rows
