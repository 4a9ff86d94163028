"""Suites: what their YAML may say, and that the shipped ones are complete."""

from pathlib import Path

import pytest

from zeus_app import build
from zeus_app.bench.jobs import plan
from zeus_app.bench.suite import Cohort, Part, Suite, load_suite, smoke, suite_names
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.profiles import load_profile
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.recipes import with_recipe
from zeus_app.targets import load_target, target_of

TINY = """
name: tiny
about: a few
cohorts:
  few: {data: phantoms, target: phantom, folds: [[phantom_00], [phantom_01]]}
parts:
  - name: a
    title: A
    cohort: few
    seconds: 10
    settings: {sequences: T2}
    entries:
      - {model: unet, fusion: [early, late]}
      - {model: zeus, fusion: [hybrid, late], decoder: [sam, readout]}
paper:
  - {match: {model: unet, fusion: early}, parameters_m: 18.31, figures: {few: [79.25, 78.31]}}
"""


def written(folder: Path, text: str = TINY) -> Suite:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return load_suite(str(path))


def test_several_values_of_a_setting_are_one_model_for_each_combination(tmp_path: Path) -> None:
    models = written(tmp_path).parts[0].models
    assert [(m["model"], m["fusion"], m.get("decoder", "")) for m in models] == [
        ("unet", "early", ""), ("unet", "late", ""), ("zeus", "hybrid", "sam"),
        ("zeus", "hybrid", "readout"), ("zeus", "late", "sam"), ("zeus", "late", "readout"),
    ]  # fmt: skip
    assert {m["sequences"] for m in models} == {"T2"}


def test_a_row_of_the_paper_belongs_to_the_models_that_have_its_settings(tmp_path: Path) -> None:
    suite = written(tmp_path)
    row = suite.paper_row({"model": "unet", "fusion": "early", "sequences": "T2"})
    assert row is not None
    assert row.figures["few"] == (79.25, 78.31)
    assert suite.paper_row({"model": "unet", "fusion": "late"}) is None


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("cohort: many", "cohort: few", "no cohort 'many'"),
        ("folds: [[phantom_00], [phantom_00]]", "folds: [[phantom_00], [phantom_01]]", "two folds"),
        ("seconds: 0", "seconds: 10", "seconds"),
        ("folds: [2]\n    seconds: 10", "seconds: 10", "folds are 0 to 1"),
        ("data: dataset", "data: phantoms", "every cohort but a dataset"),
        ("about: a few\ncost: 1", "about: a few", "cost"),
    ],
)
def test_a_wrong_suite_is_refused_with_the_reason(
    tmp_path: Path, wrong: str, right: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        written(tmp_path, TINY.replace(right, wrong))


def test_an_unknown_suite_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="paper-table2"):
        load_suite("paper-table1")


def test_all_promised_suites_ship() -> None:
    assert set(suite_names()) == {
        "llm4seg", "local", "local-full", "paper-table2", "paper-table3", "paper-table4",
        "paper-table5",
    }  # fmt: skip


@pytest.mark.parametrize("name", suite_names())
def test_a_shipped_suite_has_its_file_s_name_and_builds_every_config(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    for part in suite.parts:
        cohort = suite.cohorts[part.cohort]
        for model in part.models:
            config = ZeusConfig.from_conf({**model, "target": cohort.target})
            load_profile(config.profile)
            target_of(config)  # the sequences are the target's
            assert config.model in build.MODELS
            with_recipe(part.recipe, config.model)


@pytest.mark.parametrize("name", suite_names())
def test_every_row_of_the_paper_belongs_to_a_model_and_names_cohorts(name: str) -> None:
    suite = load_suite(name)
    models = [model for part in suite.parts for model in part.models]
    for row in suite.paper:
        assert any(suite.paper_row(model) == row for model in models), row.match
        assert row.figures.keys() <= suite.cohorts.keys()


def test_table_2_has_seven_networks_in_three_fusions_and_zeus_in_two_on_three_datasets() -> None:
    suite = load_suite("paper-table2")
    assert len(plan(suite)) == 3 * (7 * 3 + 2)
    assert len(suite.paper) == 7 * 3 + 2


def test_table_5_has_every_subset_of_four_sequences() -> None:
    models = load_suite("paper-table5").parts[0].models
    subsets = {frozenset(model["sequences"].split(",")) for model in models}
    assert len(subsets) == len(models) == 2**4 - 1


def test_a_job_of_the_local_suite_ends_within_a_quarter_of_an_hour() -> None:
    suite = load_suite("local")
    assert suite.limit_s <= 900
    assert all(job.seconds < suite.limit_s for job in plan(suite))


def test_the_smoke_size_has_every_model_once_on_phantoms() -> None:
    small = smoke(load_suite("paper-table2"))
    assert len(plan(small)) == 7 * 3 + 2
    assert {job.cohort.data for job in plan(small)} == {"phantoms"}
    assert (small.name, small.words) == ("paper-table2-smoke", "paper-table2 --smoke")


def test_the_smoke_size_needs_no_other_towers_than_the_default_ones() -> None:
    models = [model for part in smoke(load_suite("paper-table4")).parts for model in part.models]
    assert models == [{"model": "zeus", "fusion": "late", "decoder": "sam",
                       "profile": "reference-small"}]  # fmt: skip


def test_a_cohort_counts_its_folds() -> None:
    assert Cohort(data="phantoms", target="phantom", folds=(("a",), ("b",))).fold_count == 2
    assert Cohort(data="dataset", target="phantom").fold_count == 5


def test_a_part_s_settings_are_those_of_all_its_models() -> None:
    part = Part(
        name="a", title="A", cohort="few", seconds=1, settings={"seed": "1"},
        entries=({"model": "unet"},),
    )  # fmt: skip
    assert part.models == [{"seed": "1", "model": "unet"}]


def test_the_cohorts_of_shipped_suites_have_known_targets() -> None:
    for name in suite_names():
        for cohort in load_suite(name).cohorts.values():
            load_target(cohort.target)


def test_llm4seg_has_its_three_controls_and_runs_small_without_large_language_models() -> None:
    suite = load_suite("llm4seg")
    controls = {model["model"] for model in suite.parts[0].models}
    assert controls == {"llm4seg", "llm4seg-random", "llm4seg-trained", "llm4seg-none"}
    small = [model for part in smoke(suite).parts for model in part.models]
    assert len(small) == 4
    assert not any("llm4seg_llm" in model for model in small)
