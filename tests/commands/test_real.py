"""The runs on real MRI: what is asked, without running them."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from zeus_app.commands.real import PLANS, Plan, Run, exchanged, run_real
from zeus_app.targets import load_target


def test_exchanged_names_go_round_and_values_stay() -> None:
    abdomen = load_target("abdomen")
    asked = exchanged(abdomen)
    assert [label.prompt_name for label in asked.labels] == [
        "right kidney", "left kidney", "spleen", "liver",
    ]  # fmt: skip
    assert [label.value for label in asked.labels] == [label.value for label in abdomen.labels]


def test_without_real_mri_the_run_says_that_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ZEUS_REAL_DATA", raising=False)
    assert run_real("abdomen") == 0
    assert "SKIPPED" in capsys.readouterr().out


def test_no_patient_is_both_judged_and_only_smoke() -> None:
    for plan in PLANS.values():
        assert not {study for fold in plan.folds for study in fold} & set(plan.smoke)


def test_a_run_goes_on_with_what_its_own_plan_did_and_with_no_other_plans(tmp_path: Path) -> None:
    def begun(plan: Plan) -> Run:
        return Run(plan, tmp_path / "studies", tmp_path / "out", Console(quiet=True))

    plan = PLANS["brain_tumour"]
    first = begun(plan)
    first.done["runs"]["Zeus|0"] = {"model": "Zeus"}
    first.keep()
    assert begun(plan).done["runs"] == first.done["runs"]
    assert begun(replace(plan, alone="T1Gd")).done["runs"] == {}
