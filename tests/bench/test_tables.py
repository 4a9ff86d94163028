"""Figures of made-up rows, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from tests.bench.rows import a_row, a_suite, scores, stored
from zeus_app.bench.jobs import plan
from zeus_app.bench.row import Rows, failed_row
from zeus_app.bench.tables import (
    MASKS,
    Estimate,
    estimate_of,
    part_tables,
    ranks,
    subset_scores,
    with_interval,
)

METRICS = {metric.name: metric for metric in MASKS}
JOB, OTHER_SEED = plan(a_suite(seeds=[0, 1], entries=[{"model": "quick"}]))


def test_a_score_is_the_mean_over_cases_in_percent() -> None:
    rows = [a_row(JOB, {"a": scores(0.8, 0.7, patient="a"), "b": scores(0.6, 0.5, patient="b")})]
    dsc, miou = (estimate_of(METRICS[name], rows) for name in ("dsc", "miou"))
    assert dsc is not None
    assert miou is not None
    assert dsc.mean == pytest.approx(70)
    assert miou.mean == pytest.approx(60)


def test_the_background_counts_as_one_more_label_where_the_heading_says_so() -> None:
    estimate = estimate_of(METRICS["miou_background"], [a_row(JOB, {"a": scores(0.8, 0.7)})])
    assert estimate is not None
    assert estimate.mean == pytest.approx(100 * (0.7 + 1.0) / 2)


def test_seeds_of_a_case_count_once_together() -> None:
    # Case a: 0.8 and 0.6, in the mean 0.7. Case b: 0.1 with one seed.
    rows = [
        a_row(JOB, {"a": scores(0.8, 0.0, patient="a"), "b": scores(0.1, 0.0, patient="b")}),
        a_row(OTHER_SEED, {"a": scores(0.6, 0.0, patient="a")}),
    ]
    estimate = estimate_of(METRICS["dsc"], rows)
    assert estimate is not None
    assert estimate.mean == pytest.approx(100 * (0.7 + 0.1) / 2)


def test_a_distance_that_does_not_exist_does_not_count() -> None:
    cases = {"a": scores(0, 0, hd95_mm={"lesion": None}), "b": scores(0, 0)}
    assert estimate_of(METRICS["hd95_mm"], [a_row(JOB, cases)]) == Estimate(4.0)


def test_parameters_are_told_in_millions_and_a_case_with_its_preparation() -> None:
    row = a_row(JOB, {"a": scores(1, 1)})
    assert estimate_of(METRICS["trained_m"], [row]) == Estimate(1.5)
    assert estimate_of(METRICS["case_s"], [row]) == Estimate(3.0)
    assert estimate_of(METRICS["peak_mib"], [{**row, "peak_mib": None}]) is None


def test_one_patient_has_no_interval() -> None:
    assert with_interval([[50.0, 70.0]]) == Estimate(60.0)
    assert with_interval([]) is None


def test_patients_that_are_equal_have_an_interval_of_no_width() -> None:
    assert with_interval([[50.0], [50.0], [50.0]]) == Estimate(50.0, 50.0, 50.0)


def test_the_interval_of_many_patients_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(80, 10, 400)
    estimate = with_interval([[value] for value in values])
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert estimate is not None
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.15)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.15)


def test_the_interval_is_the_same_every_time() -> None:
    assert with_interval([[1.0], [5.0], [9.0]]) == with_interval([[1.0], [5.0], [9.0]])


def test_the_best_and_the_second_best_figure_are_ranked_as_they_are_shown(tmp_path: Path) -> None:
    suite = a_suite(entries=[{"model": "quick", "fusion": ["early", "hybrid", "late"]}])
    rows = stored(suite, tmp_path, [{"a": scores(v, 0)} for v in (0.800001, 0.8, 0.5)])
    (table,) = part_tables(suite, rows)
    assert ranks(table.lines, METRICS["dsc"]) == {
        "quick, early": "best", "quick, hybrid": "best", "quick, late": "second",
    }  # fmt: skip
    assert ranks(table.lines, METRICS["training_s"]) == {}


def test_models_are_ranked_among_those_that_learned_from_as_many_patients(tmp_path: Path) -> None:
    models = [{"model": "quick", "fusion": ["early", "late"]}]
    suite = a_suite(patients=[1, 2], entries=models)
    rows = stored(suite, tmp_path, [{"a": scores(v, 0)} for v in (0.1, 0.2, 0.9, 0.9)])
    (table,) = part_tables(suite, rows)
    assert ranks(table.lines, METRICS["dsc"]) == {
        "quick, late, 1 patient": "best", "quick, early, 1 patient": "second",
    }  # fmt: skip


def test_one_figure_alone_is_not_the_best(tmp_path: Path) -> None:
    suite = a_suite()
    (table,) = part_tables(suite, stored(suite, tmp_path, [{"a": scores(0.8, 0)}]))
    assert ranks(table.lines, METRICS["dsc"]) == {}


def test_a_line_tells_its_finished_jobs_and_the_paper_s_row(tmp_path: Path) -> None:
    suite = a_suite(folds=[0, 1])
    (table,) = part_tables(suite, stored(suite, tmp_path, [{"a": scores(0.8, 0)}]))
    early, late = table.lines
    assert (early.title, len(early.rows), early.planned, early.cases) == ("quick, early", 1, 2, 1)
    assert (late.rows, late.estimates) == ((), {})
    assert early.paper is None
    assert late.paper is not None
    assert late.paper.parameters_m == 54.94


def test_few_patients_have_lines_of_their_own(tmp_path: Path) -> None:
    suite = a_suite(patients=[0, 1, 2], entries=[{"model": "quick"}])
    (table,) = part_tables(suite, Rows(tmp_path))
    assert [line.title for line in table.lines] == ["quick", "quick, 1 patient",
                                                    "quick, 2 patients"]  # fmt: skip


def test_failed_rows_and_rows_of_other_settings_have_no_figures(tmp_path: Path) -> None:
    suite, slower = a_suite(), a_suite(seconds=200)
    rows = stored(slower, tmp_path, [{"a": scores(0.8, 0)}])
    rows.put(failed_row(plan(suite)[1], "no memory", 1.0))
    (table,) = part_tables(suite, rows)
    assert [line.rows for line in table.lines] == [(), ()]


def test_subsets_are_told_with_all_sequences_last(tmp_path: Path) -> None:
    suite = a_suite(every_subset=True)
    rows = Rows(tmp_path)
    subsets = {"T2": {"a": scores(0.4, 0)}, "FLAIR": {"a": scores(0.6, 0)}}
    rows.put(a_row(plan(suite)[0], {"a": scores(0.8, 0)}, subsets=subsets))
    (table,) = part_tables(suite, rows)
    by_subset = {name: by["quick, early"] for name, by in subset_scores(table).items()}
    assert list(by_subset) == ["T2", "FLAIR", "all"]
    assert by_subset == pytest.approx({"T2": 40.0, "FLAIR": 60.0, "all": 80.0})
