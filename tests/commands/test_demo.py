"""What the demo counts as a failure."""

import numpy as np
import pytest

from zeus_app.commands.demo.run import check_answers, shortfall
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
        (0.89, 0.60, "below 0.9"),
        (0.92, 0.89, "only 0.030 above T2 alone"),
        (0.92, 0.85, None),
    ],
)
def test_the_union_must_be_good_and_well_above_the_best_sequence(
    after: float, best: float, problem: str | None
) -> None:
    message = shortfall(Summary(before=0.1, after=after, sequences={"T2": best, "FLAIR": 0.3}))
    assert (message is None) == (problem is None)
    assert problem is None or problem in str(message)


def test_answers_before_the_training_must_say_that_they_are_untrained() -> None:
    with pytest.raises(ServerError, match="did not say that it is untrained"):
        check_answers({"x": an_answer("v0001")}, {"x": an_answer("v0001")}, CHECKPOINT)


def test_answers_after_the_training_must_come_from_its_checkpoint() -> None:
    with pytest.raises(ServerError, match=r"came from {'untrained'}"):
        check_answers({"x": an_answer("untrained")}, {"x": an_answer("untrained")}, CHECKPOINT)


@pytest.mark.parametrize("leaked", ["a", "c"])
def test_held_back_studies_must_be_neither_trained_nor_validated_on(leaked: str) -> None:
    before, after = {leaked: an_answer("untrained")}, {leaked: an_answer("v0001")}
    with pytest.raises(ServerError, match="saw held-back studies"):
        check_answers(before, after, CHECKPOINT)


def test_a_correct_run_passes() -> None:
    check_answers({"x": an_answer("untrained")}, {"x": an_answer("v0001")}, CHECKPOINT)
