"""The benchmark of quality: its folds, scores, stored runs and tables. Nothing is timed."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from benchmarks.quality import __main__ as command
from benchmarks.quality import page
from benchmarks.quality.experiment import Experiment, fold_patients
from benchmarks.quality.figures import dsc_by_case, gain, summarise
from benchmarks.quality.runs import Idea, RunKey, Runs
from tests.painted import grid
from tests.training.conftest import SIZE, TinyModel, tiny_case, tiny_setup
from zeus_app.commands.real.plans import PLANS, Plan
from zeus_app.errors import InputError
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.progress import silent
from zeus_app.protocols import Prepared
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target
from zeus_app.types import LabelledStudy, Volume

PLAN = Plan("ms_lesion", (("a",), ("b", "c"), ("d",)), train_s=1)


class TestFolds:
    def test_training_patients_begin_with_the_next_fold_so_that_few_are_not_always_the_same(
        self,
    ) -> None:
        assert fold_patients(PLAN, 0, patients=0) == ("b", "c", "d")
        assert fold_patients(PLAN, 1, patients=0) == ("d", "a")
        assert fold_patients(PLAN, 1, patients=1) == ("d",)

    def test_more_patients_than_the_fold_has_are_refused(self) -> None:
        with pytest.raises(InputError, match="at most 2"):
            fold_patients(PLAN, 1, patients=3)

    def test_an_abdomen_fold_of_four_learns_from_ten_patients(self) -> None:
        assert len(fold_patients(PLANS["abdomen"], 0, patients=0)) == 10


def a_study(
    name: str,
    *,
    shape: tuple[int, int, int] = (SIZE, SIZE, 6),
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> LabelledStudy:
    place = grid(shape, spacing_mm)
    volume = Volume(np.zeros(shape, np.uint8), place.affine_ras)
    return LabelledStudy(
        id=name,
        read_study=partial(pytest.fail, "cases are prepared already"),
        read_label=lambda: volume,
        read_grid=lambda: place,
        patient=name,
        sequences=("T2", "FLAIR"),
    )


class Calibrated(TinyModel):
    """Counts the studies that it is calibrated on."""

    def calibrate(self, studies: list[Prepared]) -> None:
        self.calibrated = len(studies)


def an_experiment(folder: Path, model: TinyModel, **recipe: str) -> Experiment:
    target = load_target("ms_lesion").only(("T2", "FLAIR"))
    training = tiny_setup(folder, model, target=target)
    return Experiment(
        plan=PLAN,
        idea=Idea("tiny", {}, {"epochs": "2", "batch_slices": "2", **recipe}),
        studies={name: a_study(name) for name in "abcd"},
        segmenter=cast(Segmenter, SimpleNamespace(training=training)),
        config=ZeusConfig(target="ms_lesion"),
        folder=folder,
    )


CASES = {name: tiny_case(name, seed=seed) for seed, name in enumerate("abcd")}


class TestRun:
    def test_it_learns_from_the_other_folds_and_judges_its_own(self, tmp_path: Path) -> None:
        model = Calibrated()
        key = RunKey("tiny", "ms_lesion", fold=1, seed=0, seconds=1000, patients=0)
        run = an_experiment(tmp_path, model).run(key, CASES, every_subset=True, report=silent)
        assert (run["learnt"], run["judged"]) == (["d", "a"], ["b", "c"])
        assert model.calibrated == 2
        assert run["steps"] == 2 * (2 * 6) / 2  # epochs, studies of six slices, slices a step
        assert run["cases"].keys() == {"b", "c"}
        assert run["subsets"].keys() == {"T2", "FLAIR"}
        assert RunKey.of(run) == key

    def test_a_run_begins_with_the_initial_weights_whatever_was_trained_before(
        self, tmp_path: Path
    ) -> None:
        key = RunKey("tiny", "ms_lesion", fold=0, seed=0, seconds=1000, patients=2)
        experiment = an_experiment(tmp_path, Calibrated())
        first, second = (
            experiment.run(key, CASES, every_subset=False, report=silent)["cases"]["a"]["dsc"]
            for _ in range(2)
        )
        assert first == second

    def test_given_epochs_count_instead_of_the_seconds(self, tmp_path: Path) -> None:
        key = RunKey("tiny", "ms_lesion", fold=1, seed=0, seconds=1e-9, patients=0)
        experiment = an_experiment(tmp_path, Calibrated())
        run = experiment.run(key, CASES, epochs=3, every_subset=False, report=silent)
        assert run["steps"] == 3 * (2 * 6) / 2

    def test_a_recipe_with_a_projection_is_refused(self, tmp_path: Path) -> None:
        key = RunKey("tiny", "ms_lesion", fold=0, seed=0, seconds=1000, patients=0)
        experiment = an_experiment(tmp_path, Calibrated(), projection_share="0.5")
        with pytest.raises(InputError, match="projection_share"):
            experiment.run(key, CASES, every_subset=False, report=silent)

    def test_a_study_of_the_folds_without_a_label_is_named(self, tmp_path: Path) -> None:
        plan = Plan("ms_lesion", (("a",), ("z",)), train_s=1)
        experiment = an_experiment(tmp_path, Calibrated())
        absent = Experiment(**{**vars(experiment), "plan": plan, "studies": {}})
        with pytest.raises(InputError, match="no labelled a, z"):
            absent.prepare(silent)


def a_run(idea: str = "one", *, fold: int = 0, seed: int = 0, **dsc: float) -> dict[str, Any]:
    """A run with one label, whose cases have these DSC."""
    key = RunKey(idea, "abdomen", fold=fold, seed=seed, seconds=120, patients=0)
    cases = {
        name: {"dsc": {"liver": v}, "lesion_f1": {"liver": v / 2}, "hd95_mm": {"liver": 10 * v}}
        for name, v in dsc.items()
    }
    return {
        **asdict(key), "settings": {"decoder": "readout"}, "recipe": {}, "cases": cases,
        "subsets": {}, "steps": 100, "step_s": 0.25, "peak_mib": 900.0, "code": "abc1234",
    }  # fmt: skip


class TestRuns:
    def test_a_stored_run_is_found_by_its_key_and_replaced_by_a_later_one(
        self, tmp_path: Path
    ) -> None:
        runs = Runs(tmp_path / "quality.json")
        for value in (0.5, 0.6):
            runs.put(a_run(a=value))
        found = runs.find(RunKey("one", "abdomen", 0, 0, 120, 0))
        assert found is not None
        assert found["cases"]["a"]["dsc"] == {"liver": 0.6}
        assert len(runs.content["runs"]) == 1
        assert runs.find(RunKey("one", "abdomen", 1, 0, 120, 0)) is None

    def test_a_name_stands_for_one_set_of_settings(self, tmp_path: Path) -> None:
        runs = Runs(tmp_path / "quality.json")
        runs.put(a_run(a=0.5))
        runs.check(Idea("one", {"decoder": "readout"}, {}), "abdomen")
        runs.check(Idea("one", {"decoder": "sam"}, {}), "brain_tumour")
        with pytest.raises(InputError, match="--set decoder=readout"):
            runs.check(Idea("one", {"decoder": "sam"}, {}), "abdomen")

    def test_forgotten_runs_leave_the_others(self, tmp_path: Path) -> None:
        runs = Runs(tmp_path / "quality.json")
        runs.put(a_run(a=0.5))
        runs.put(a_run(fold=1, b=0.5))
        runs.forget([RunKey("one", "abdomen", 0, 0, 120, 0)])
        assert [run["fold"] for run in runs.content["runs"]] == [1]

    def test_remarks_on_an_idea_add_up(self, tmp_path: Path) -> None:
        runs = Runs(tmp_path / "quality.json")
        runs.remark("one", against="sam")
        runs.remark("one", verdict="kept")
        assert runs.content["ideas"] == {"one": {"against": "sam", "verdict": "kept"}}


class TestFigures:
    def test_every_case_of_every_seed_counts_the_same(self) -> None:
        runs = [a_run(a=0.5, b=0.9), a_run(fold=1, c=0.7), a_run(seed=1, a=0.6, b=0.9)]
        summary = summarise(runs)
        assert (summary.folds, summary.seeds) == (2, 2)
        assert summary.mean == pytest.approx((0.5 + 0.9 + 0.7 + 0.6 + 0.9) / 5)
        assert (summary.worst, summary.worst_place) == (0.5, "liver of a")
        assert summary.lesion_f1 == pytest.approx(summary.mean / 2)

    def test_the_spread_is_that_of_the_means_of_the_seeds(self) -> None:
        assert summarise([a_run(a=0.5)]).spread is None
        runs = [a_run(seed=seed, a=value) for seed, value in enumerate((0.5, 0.6, 0.7))]
        assert summarise(runs).spread == pytest.approx(0.1)

    def test_a_gain_compares_the_folds_and_seeds_that_both_ideas_have(self) -> None:
        ours = [a_run(a=0.8), a_run(fold=1, b=0.1)]
        assert gain(ours, [a_run(a=0.7), a_run(seed=1, a=0.1)]) == pytest.approx((0.1, 1))
        assert gain(ours, []) is None

    def test_the_score_of_a_case_is_the_mean_of_its_seeds(self) -> None:
        runs = [a_run(a=0.5), a_run(seed=1, a=0.7)]
        assert dsc_by_case(runs) == {"a": pytest.approx(0.6)}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results and page in a folder of the test; no real MRI is there."""
    document = tmp_path / "quality.md"
    marks = [f"<!-- {name}: begin -->\n<!-- {name}: end -->" for name in ("ideas", "figures")]
    document.write_text("# Quality\n\n" + "\n\n".join(marks) + "\n\nWhat was kept.\n")
    monkeypatch.setattr(page, "PAGE", document)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setenv("ZEUS_REAL_DATA", str(tmp_path / "none"))
    return tmp_path


def write_runs(folder: Path, *runs: dict[str, Any]) -> None:
    ideas = {"one": {"against": "zero", "verdict": "kept"}}
    (folder / "quality.json").write_text(json.dumps({"ideas": ideas, "runs": runs}))


class TestPage:
    def test_an_idea_is_listed_with_its_command_and_verdict(self, files: Path) -> None:
        write_runs(files, a_run("zero", a=0.5), a_run(a=0.6))
        assert command.main([]) == 0
        text = (files / "quality.md").read_text()
        options = "--name 'one' --set decoder=readout"
        assert f"`python -m benchmarks.quality abdomen {options}` | abc1234 | kept |" in text
        assert text.endswith("What was kept.\n")

    def test_a_screened_idea_stands_beside_the_gain_over_the_idea_it_is_compared_with(
        self, files: Path
    ) -> None:
        write_runs(files, a_run("zero", a=0.5), a_run(a=0.6))
        command.main([])
        text = (files / "quality.md").read_text()
        assert "### abdomen, 120 s, all training patients of the fold" in text
        assert "| one | 1 | 1 | 0.600 | +0.100 | 0.600 (liver of a) | 6.0 | 100 | 0.25 | 900 |" in (
            text
        )
        assert "Cross-validation" not in text

    def test_an_idea_with_more_folds_is_in_both_tables(self, files: Path) -> None:
        write_runs(files, a_run(a=0.6), a_run(fold=1, b=0.8))
        command.main([])
        screening, validation = (
            (files / "quality.md").read_text().split("Cross-validation: 4 folds.")
        )
        assert "| one | 1 | 1 | 0.600 |" in screening
        assert "| one | 2 | 1 | 0.700 |" in validation

    def test_subsets_of_the_sequences_are_shown_per_idea(self, files: Path) -> None:
        run = a_run(a=0.6)
        run["subsets"] = {"T2": {"a": {"dsc": {"liver": 0.4}}}}
        write_runs(files, run)
        command.main([])
        text = (files / "quality.md").read_text()
        assert "| T2 | 0.400 |\n| all sequences | 0.600 |" in text


class TestCommand:
    def test_stored_runs_are_not_run_again(
        self, files: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_runs(files, a_run(a=0.6))
        arguments = ["abdomen", "--name", "one", "--set", "decoder=readout", "--screening"]
        assert command.main(arguments) == 0
        assert "every run exists" in capsys.readouterr().err

    def test_without_real_mri_it_says_that_it_is_skipped(
        self, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("ZEUS_REAL_DATA")
        assert command.main(["abdomen"]) == 0
        assert "SKIPPED" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["abdomne"], "did you mean 'abdomen'"),
            (["abdomen", "--fold", "4"], "0, 1, 2, 3"),
        ],
    )
    def test_a_wrong_name_is_answered_with_the_right_ones(
        self,
        files: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        message: str,
    ) -> None:
        assert command.main(arguments) == 2
        assert message in capsys.readouterr().err

    def test_a_setting_without_a_value_is_refused(self, files: Path) -> None:
        with pytest.raises(SystemExit):
            command.main(["abdomen", "--set", "decoder"])
