"""What the demo calls a failure."""

import numpy as np
import pytest

from zeus_app.commands.demo import _check_versions, _shortfall
from zeus_app.reporting.values import Summary
from zeus_app.server.lifecycle.server_process import Answer, ServerError
from zeus_app.types import Volume


def an_answer(checkpoint: str) -> Answer:
    mask = Volume(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    params = {"checkpoint": checkpoint, "untrained": checkpoint == "untrained"}
    return Answer(mask, params, seconds=1.0)


CHECKPOINT = {"version": "v0001", "studies": ["a", "b"], "validation": ["c"]}


@pytest.mark.parametrize(
    ("after", "best", "problem"),
    [
        (0.79, 0.60, "below 0.8"),
        (0.85, 0.82, "only 0.030 above T2 alone"),
        (0.85, 0.75, None),
    ],
)
def test_the_aims_are_a_good_union_well_above_the_best_sequence(
    after: float, best: float, problem: str | None
) -> None:
    found = _shortfall(Summary(before=0.1, after=after, sequences={"T2": best, "FLAIR": 0.3}))
    assert (found is None) == (problem is None)
    assert problem is None or problem in str(found)


def test_answers_that_no_training_stands_behind_must_say_so() -> None:
    with pytest.raises(ServerError, match="did not say that it is untrained"):
        _check_versions({"x": an_answer("v0001")}, {"x": an_answer("v0001")}, CHECKPOINT)


def test_answers_after_the_training_must_come_from_it() -> None:
    with pytest.raises(ServerError, match=r"came from {'untrained'}"):
        _check_versions({"x": an_answer("untrained")}, {"x": an_answer("untrained")}, CHECKPOINT)


@pytest.mark.parametrize("leaked", ["a", "c"])
def test_a_held_back_study_must_be_neither_learnt_from_nor_validated_on(leaked: str) -> None:
    before, after = {leaked: an_answer("untrained")}, {leaked: an_answer("v0001")}
    with pytest.raises(ServerError, match="saw held-back studies"):
        _check_versions(before, after, CHECKPOINT)


def test_a_run_as_it_should_be_passes() -> None:
    _check_versions({"x": an_answer("untrained")}, {"x": an_answer("v0001")}, CHECKPOINT)
