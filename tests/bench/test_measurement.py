"""One job from the patients to its row, with a model of a few weights on phantoms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bench.rows import a_suite
from zeus_app.bench.jobs import plan
from zeus_app.bench.measurement import Request, recipe_of, run_job
from zeus_app.bench.pictures import read_slice
from zeus_app.bench.suite import load_suite, smoke, suite_names
from zeus_app.errors import InputError
from zeus_app.progress import silent
from zeus_app.settings.config import ZeusConfig

RECIPE = {"epochs": "1", "batch_slices": "8"}


@pytest.fixture(autouse=True)
def _quick_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEUS_PLUGINS", "tests.bench.quick_model")


def a_request(folder: Path, **part: Any) -> Request:
    suite = a_suite(**{"recipe": RECIPE, "seconds": 600, **part})
    return Request(plan(suite)[0], work=folder / "work")


def test_a_row_has_scores_times_parameters_and_what_they_were_measured_with(
    tmp_path: Path,
) -> None:
    row = run_job(a_request(tmp_path), silent)
    assert row["status"] == "done"
    assert row["learnt"] == ["phantom_01", "phantom_02"]
    assert row["cases"].keys() == {"phantom_00"}
    assert row["cases"]["phantom_00"]["dsc"].keys() == {"lesion", "cyst"}
    # A weight for each of two sequences and two labels, and a bias for each label.
    assert row["trained_parameters"] == row["total_parameters"] == 2 * 2 + 2
    assert row["steps"] == 2 * 12 / 8  # slices of two studies, slices a step
    assert len(row["curve"]) == row["epochs"] == 1
    assert row["settings"]["epochs"] == 1
    assert row["machine"]["threads"] >= 1
    assert "torch" in row["versions"]
    assert row["wall_s"] > row["training_s"] > 0


def test_the_second_job_is_charged_with_the_preparation_that_the_first_one_measured(
    tmp_path: Path,
) -> None:
    first, second = (run_job(a_request(tmp_path), silent) for _ in range(2))
    assert first["preparation_s"] == second["preparation_s"] > 0


def test_every_subset_is_judged_if_asked(tmp_path: Path) -> None:
    row = run_job(a_request(tmp_path, every_subset=True), silent)
    assert row["subsets"].keys() == {"T2", "FLAIR"}
    assert row["subsets"]["T2"].keys() == {"phantom_00"}


def test_a_part_that_measures_speed_judges_nothing(tmp_path: Path) -> None:
    row = run_job(a_request(tmp_path, measure="speed"), silent)
    assert row["cases"] == {}
    assert row["epoch_s"] == pytest.approx(3 * row["step_s"])  # 24 slices, 8 a step


def test_one_slice_of_each_judged_case_is_stored_if_asked(tmp_path: Path) -> None:
    request = a_request(tmp_path)
    request = Request(request.job, work=request.work, pictures=tmp_path / "pictures")
    run_job(request, silent)
    shown = read_slice(tmp_path / "pictures" / "phantom_00.npz")
    assert shown.picture.shape == shown.truth.shape == shown.mask.shape == (256, 256)
    assert set(np.unique(shown.truth)) <= {0, 1, 2}
    assert shown.truth.any()


def test_a_recipe_that_begins_with_served_weights_is_refused(tmp_path: Path) -> None:
    job = plan(a_suite(recipe={"start": "served"}))[0]
    with pytest.raises(InputError, match="start in a recipe"):
        recipe_of(job, ZeusConfig(model="quick"))


def test_a_request_survives_the_way_to_the_process(tmp_path: Path) -> None:
    job = plan(a_suite())[0]
    request = Request(job, tmp_path / "work", data=tmp_path / "data", shard="1-of-2")
    assert Request.of_json(request.as_json()) == request
    assert "\n" not in request.as_json()


@pytest.mark.slow
@pytest.mark.parametrize("name", suite_names())
def test_every_job_of_a_shipped_suite_runs_in_its_smoke_size(tmp_path: Path, name: str) -> None:
    suite = smoke(load_suite(name))
    for job in plan(suite):
        row = run_job(Request(job, work=tmp_path / "work"), silent)
        assert row["status"] == "done"
        assert bool(row["cases"]) == (job.measure == "masks")
