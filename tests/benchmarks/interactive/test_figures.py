"""Figures of rows that are worked out by hand."""

from typing import Any

import pytest

from benchmarks.interactive.figures import (
    best_sequence_rows,
    curve,
    is_harmful,
    steps_of,
    summarise,
)
from benchmarks.interactive.rows import Row


def row(*dsc: float, clicks: int = 4, **fields: Any) -> Row:
    seconds = [1.0] * len(dsc)
    return {"dsc": list(dsc), "clicks": clicks, "seconds": seconds,
            "is_cold": [False] * len(dsc), "study": "a", "label": "liver", "slice_index": 3,
            "seed": 0, "sequences": "T2", **fields}  # fmt: skip


def test_the_curve_stays_where_a_perfect_answer_ended_the_round() -> None:
    assert curve(row(0.5, 1.0), 4) == [0.5, 1.0, 1.0, 1.0]


def test_nauc_is_the_mean_over_clicks_of_the_mean_over_scenes() -> None:
    summary = summarise([row(0.2, 0.4, 0.6, 0.8), row(0.6, 0.8, 0.8, 1.0)])
    assert summary.dsc == pytest.approx((0.4, 0.6, 0.7, 0.9))
    assert summary.nauc == pytest.approx(0.65)


def test_rows_of_different_lengths_are_compared_over_the_clicks_that_all_have() -> None:
    assert len(summarise([row(0.2, 0.4, clicks=2), row(0.2, 0.4, 0.6)]).dsc) == 2


def test_the_first_click_is_no_step() -> None:
    assert steps_of(row(0.5, 0.75, 0.25)) == [0.25, -0.5]


@pytest.mark.parametrize(
    ("before", "after", "harmful"), [(0.8, 0.79, False), (0.8, 0.7899, True), (0.8, 0.9, False)]
)
def test_a_click_does_harm_if_it_lowers_the_dsc_by_more_than_a_hundredth(
    before: float, after: float, harmful: bool
) -> None:
    assert is_harmful(after - before) is harmful


def test_the_harmful_share_is_of_the_clicks_that_were_made() -> None:
    summary = summarise([row(0.5, 0.4, 0.6, 0.5), row(0.9, 1.0)])
    assert (summary.harmful, summary.steps, summary.harmful_share) == (2, 4, 0.5)


def test_a_true_box_has_no_steps_and_no_seconds() -> None:
    summary = summarise([row(0.9, seconds=[], is_cold=[])])
    assert (summary.harmful_share, summary.cold_s, summary.warm_s) == (None, None, None)


def test_the_first_click_is_cold_if_it_encoded_and_a_later_one_is_neither() -> None:
    times: dict[str, Any] = {"seconds": [9.0, 1.0, 7.0, 3.0], "is_cold": [True, False, True, False]}
    summary = summarise([row(0.1, 0.2, 0.3, 0.4, **times)])
    assert (summary.cold_s, summary.warm_s) == (9.0, 2.0)


def test_the_best_sequence_is_chosen_for_each_scene() -> None:
    rows = [
        row(0.2, 0.9, clicks=2, sequences="FLAIR"),
        row(0.5, 0.5, clicks=2, sequences="T1"),
        row(0.9, 0.9, clicks=2, sequences="union"),
        row(0.1, 0.1, clicks=2, sequences="FLAIR", slice_index=4),
        row(0.2, 0.2, clicks=2, sequences="T1", slice_index=4),
    ]
    chosen = best_sequence_rows(rows)
    assert [(r["slice_index"], r["sequences"]) for r in chosen] == [(3, "FLAIR"), (4, "T1")]
