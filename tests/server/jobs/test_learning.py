"""The queue of submitted labels before the worker of learning after each case."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.waiting import wait_until
from zeus_app.server.jobs.learning import CaseLearning
from zeus_app.server.jobs.learning_process import CANCELLED, Reply, WorkerEndedError

SERVED = {"version": "v0002", "served": True, "reason": "better", "score_after": 0.9}


class FakeWorker:
    """Answers each case at once, unless a test holds it or lets it end."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.replies: dict[str, Reply] = {}
        self.ends_at: list[str] = []
        self.held = threading.Event()
        self.is_closed = False

    def learn(self, study: str, *, interrupted: Callable[[], bool]) -> Reply:
        self.log.append(study)
        if study in self.ends_at:
            self.ends_at.remove(study)
            raise WorkerEndedError("the worker process ended with code -9")
        while self.held.is_set():
            if interrupted():
                return CANCELLED
        return self.replies.get(study, SERVED)

    def close(self) -> None:
        self.is_closed = True


class Bench:
    """Learning with one fake worker, however often it is started."""

    def __init__(self, mode: Any = "on") -> None:
        self.log: list[str] = []
        self.worker = FakeWorker(self.log)
        self.starts = 0
        self.training = threading.Event()
        self.learning = CaseLearning(
            mode, start_worker=self.start_worker, is_training=self.training.is_set
        )

    def start_worker(self) -> FakeWorker:
        self.starts += 1
        return self.worker

    @property
    def status(self) -> dict[str, Any]:
        return self.learning.as_json()

    def decisions(self) -> list[tuple[str, str]]:
        """Study and decision of the results, the newest first."""
        return [(result["study"], result["decision"]) for result in self.status["results"]]

    def wait_for(self, **status: object) -> None:
        wait_until(lambda: status.items() <= self.status.items())


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.learning.close()


def test_switched_off_it_starts_nothing() -> None:
    bench = Bench("off")
    bench.learning.start()
    bench.learning.submit("alpha")
    assert bench.status["state"] == "off"
    assert (bench.starts, bench.status["queue"]) == (0, [])


def test_the_worker_is_warm_before_the_first_label(bench: Bench) -> None:
    bench.learning.start()
    wait_until(lambda: bench.starts == 1)
    bench.wait_for(state="idle")
    bench.learning.submit("alpha")
    wait_until(bench.decisions)
    assert bench.starts == 1


def test_cases_are_learnt_in_their_order_and_the_newest_result_comes_first(bench: Bench) -> None:
    for study in ("alpha", "bravo"):
        bench.learning.submit(study)
    wait_until(lambda: len(bench.decisions()) == 2)
    assert bench.log == ["alpha", "bravo"]
    assert bench.decisions() == [("bravo", "served"), ("alpha", "served")]


@pytest.mark.parametrize(
    ("reply", "decision"),
    [
        (SERVED, "served"),
        ({**SERVED, "served": False}, "stored"),
        ({**SERVED, "served": False, "version": ""}, "worse"),
        ({**SERVED, "served": False, "version": "", "score_after": None}, "skipped"),
        ({"error": "a volume of NaN"}, "failed"),
    ],
)
def test_a_result_says_what_became_of_the_case(bench: Bench, reply: Reply, decision: str) -> None:
    bench.worker.replies["alpha"] = reply
    bench.learning.submit("alpha")
    wait_until(bench.decisions)
    assert bench.decisions() == [("alpha", decision)]
    assert bench.status["results"][0]["reason"]


def test_a_label_that_is_corrected_while_it_waits_is_learnt_once(bench: Bench) -> None:
    bench.training.set()
    for study in ("alpha", "bravo", "alpha"):
        bench.learning.submit(study)
    assert bench.status["queue"] == ["alpha", "bravo"]


def test_cases_wait_while_an_ordinary_training_runs(bench: Bench) -> None:
    bench.training.set()
    bench.learning.submit("alpha")
    bench.wait_for(state="waiting", queue=["alpha"])
    assert bench.log == []
    bench.training.clear()
    wait_until(bench.decisions)
    assert bench.log == ["alpha"]


def test_an_ordinary_training_interrupts_a_case_which_is_the_next_one_afterwards(
    bench: Bench,
) -> None:
    bench.worker.held.set()
    bench.learning.submit("alpha")
    bench.wait_for(state="learning", study="alpha")
    bench.learning.submit("bravo")
    bench.training.set()
    bench.wait_for(state="waiting", queue=["alpha", "bravo"], study="")
    bench.worker.held.clear()
    bench.training.clear()
    wait_until(lambda: len(bench.decisions()) == 2)
    assert bench.log == ["alpha", "alpha", "bravo"]


def test_a_worker_that_ended_is_started_again_for_the_same_case(bench: Bench) -> None:
    bench.worker.ends_at = ["alpha"]
    bench.learning.submit("alpha")
    wait_until(bench.decisions)
    assert bench.decisions() == [("alpha", "served")]
    assert bench.starts == 2


def test_a_case_at_which_the_worker_ends_twice_does_not_stop_the_next_one(bench: Bench) -> None:
    bench.worker.ends_at = ["alpha", "alpha"]
    for study in ("alpha", "bravo"):
        bench.learning.submit(study)
    wait_until(lambda: len(bench.decisions()) == 2)
    assert bench.decisions() == [("bravo", "served"), ("alpha", "failed")]
    assert bench.status["results"][1]["reason"] == "the worker process ended with code -9"


def test_a_worker_that_cannot_start_fails_the_case_and_says_so() -> None:
    def fail() -> FakeWorker:
        raise WorkerEndedError("the worker process ended with code 1")

    learning = CaseLearning("on", start_worker=fail, is_training=lambda: False)
    learning.submit("alpha")
    wait_until(lambda: learning.as_json()["results"])
    (result,) = learning.as_json()["results"]
    assert (result["decision"], result["reason"]) == (
        "failed",
        "the worker process ended with code 1",
    )
    learning.close()


def test_closing_ends_the_worker_also_in_the_middle_of_a_case(bench: Bench) -> None:
    bench.worker.held.set()
    bench.learning.submit("alpha")
    bench.wait_for(state="learning")
    bench.learning.close()
    assert bench.worker.is_closed
    wait_until(lambda: bench.status["study"] == "")
    assert bench.decisions() == []
