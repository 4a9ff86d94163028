"""The runs on real MRI: their plans and saved results, without running them."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from zeus_app.commands.real.plans import PLANS, UNET, Plan, with_exchanged_names
from zeus_app.commands.real.run import PlanRun, effective_recipe, run_real
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target


def test_each_label_gets_the_next_ones_name_and_keeps_its_value() -> None:
    abdomen = load_target("abdomen")
    exchanged = with_exchanged_names(abdomen)
    assert [label.prompt_name for label in exchanged.labels] == [
        "right kidney", "left kidney", "spleen", "liver",
    ]  # fmt: skip
    assert [label.value for label in exchanged.labels] == [label.value for label in abdomen.labels]


def test_without_real_mri_the_run_says_that_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ZEUS_REAL_DATA", raising=False)
    assert run_real("abdomen") == 0
    assert "SKIPPED" in capsys.readouterr().out


def test_no_patient_is_both_scored_and_only_smoke() -> None:
    for plan in PLANS.values():
        assert not {study for fold in plan.folds for study in fold} & set(plan.smoke)


def test_the_u_net_learns_by_a_recipe_of_its_own() -> None:
    plan = PLANS["abdomen"]
    zeus, unet = (
        effective_recipe(plan.recipe_of(name), ZeusConfig.from_conf(plan.models()[name]))
        for name in ("Zeus", UNET)
    )
    assert (zeus["batch_slices"], zeus["learning_rate"]) == (4, 5e-4)
    assert "intensity" not in zeus
    assert (unet["batch_slices"], unet["intensity"]) == (8, 1)
    assert "learning_rate" not in unet  # the paper's, 1e-3


def test_a_run_continues_with_the_results_of_its_own_plan_only(tmp_path: Path) -> None:
    def start(plan: Plan) -> PlanRun:
        return PlanRun(plan, tmp_path / "studies", tmp_path / "out", Console(quiet=True))

    plan = PLANS["brain_tumour"]
    first = start(plan)
    first.results["runs"]["Zeus|0"] = {"model": "Zeus"}
    first.save()
    assert start(plan).results["runs"] == first.results["runs"]
    assert start(replace(plan, alone="T1Gd")).results["runs"] == {}
