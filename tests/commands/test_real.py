"""The runs on real MRI: their plans and saved results, without running them."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from zeus_app.commands.real.plans import PLANS, UNET, Plan, with_exchanged_names
from zeus_app.commands.real.run import PlanRun, effective_recipe, run_real
from zeus_app.errors import InputError
from zeus_app.labels.mask_files import ImportedLabel, find_masks
from zeus_app.pipeline.plugins import learner_of
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.recipes import DEFAULT, recipe_values
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


def test_no_patient_is_scored_in_two_folds() -> None:
    for plan in PLANS.values():
        studies = [study for fold in plan.folds for study in fold]
        assert len(studies) == len(set(studies))


@pytest.mark.real
@pytest.mark.parametrize("plan", [plan for plan in PLANS.values() if plan.folds])
def test_every_labelled_patient_is_scored_in_a_fold(plan: Plan) -> None:
    masks = find_masks(Path(os.environ["ZEUS_REAL_DATA"]) / plan.target, load_target(plan.target))
    labelled = {mask.study_id for mask in masks if isinstance(mask, ImportedLabel)}
    assert {study for fold in plan.folds for study in fold} == labelled - set(plan.smoke)


def test_every_model_learns_by_its_default_recipe() -> None:
    models = PLANS["abdomen"].models()
    zeus, unet = (effective_recipe(ZeusConfig.from_conf(models[name])) for name in ("Zeus", UNET))
    for recipe, learner in ((zeus, learner_of(ZeusConfig())), (unet, "resunet")):
        expected = recipe_values(DEFAULT, learner)
        assert recipe["batch_slices"] == expected["batch_slices"]
        assert "time_budget_s" not in recipe


def a_plan_run(folder: Path, plan: Plan) -> PlanRun:
    return PlanRun(plan, folder / "studies", folder / "out", Console(quiet=True))


def test_one_fold_runs_alone_and_the_others_stay_missing(tmp_path: Path) -> None:
    run = a_plan_run(tmp_path, PLANS["abdomen"])
    assert run.missing_folds("Zeus", [0]) == [0]
    run.results["runs"]["Zeus|0"] = {"model": "Zeus"}
    assert run.missing_folds("Zeus", [0]) == []
    assert run.missing_folds("Zeus") == [1, 2, 3]


@pytest.mark.parametrize(
    ("target", "fold", "message"),
    [("abdomen", 4, "0, 1, 2, 3"), (None, 0, "--target abdomen --fold 0")],
)
def test_a_fold_that_no_plan_has_is_refused(target: str | None, fold: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_real(target, fold)


def test_a_run_continues_with_the_results_of_its_own_plan_only(tmp_path: Path) -> None:
    start = partial(a_plan_run, tmp_path)
    plan = PLANS["brain_tumour"]
    first = start(plan)
    first.results["runs"]["Zeus|0"] = {"model": "Zeus"}
    first.save()
    assert start(plan).results["runs"] == first.results["runs"]
    assert start(replace(plan, alone="T1Gd")).results["runs"] == {}
