"""Averages over labels and studies."""

import numpy as np
import pytest

from zeus_app.reporting.values import LabelScores, StudyPage, mean, summarise


def study(**scores: LabelScores) -> StudyPage:
    empty = np.zeros((4, 4, 2), np.uint8)
    image = empty.astype(np.float32)
    return StudyPage(
        study_id="s",
        spacing_mm=(1.0, 1.0, 1.0),
        sequences={"T2": image, "FLAIR": image},
        labels={"lesion": 1, "cyst": 2},
        masks={},
        union=empty,
        scores=scores,
    )


STUDIES = (
    study(
        lesion=LabelScores(0.0, 0.9, {"T2": 0.7, "FLAIR": 0.5}),
        cyst=LabelScores(0.2, 0.7, {"T2": 0.5, "FLAIR": 0.5}),
    ),
    study(lesion=LabelScores(0.3, 0.6, {"T2": 0.4, "FLAIR": 0.6})),
)


def test_each_study_has_the_same_weight_whatever_its_number_of_labels() -> None:
    summary = summarise(STUDIES)
    assert summary.before == pytest.approx((0.1 + 0.3) / 2)
    assert summary.after == pytest.approx((0.8 + 0.6) / 2)


def test_the_best_sequence_is_the_one_with_the_highest_mean() -> None:
    summary = summarise(STUDIES)
    # T2: (0.6 + 0.4) / 2, FLAIR: (0.5 + 0.6) / 2
    assert summary.sequences == pytest.approx({"T2": 0.50, "FLAIR": 0.55})
    assert summary.best_sequence == "FLAIR"


def test_the_gain_is_the_union_minus_the_best_sequence() -> None:
    assert summarise(STUDIES).gain == pytest.approx(0.70 - 0.55)


def test_scores_that_were_not_measured_are_none() -> None:
    summary = summarise((study(),))
    assert (summary.before, summary.after, summary.best_sequence, summary.gain) == (None,) * 4


def test_a_mean_skips_missing_and_not_finite_values() -> None:
    assert mean([0.5, None, float("nan"), 1.0]) == 0.75
