"""Results of the background: one after another, and no error ends the queue."""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from tests.waiting import wait_until
from zeus_app.errors import InputError
from zeus_app.server.results.queue import ResultQueue


def test_results_are_made_in_their_order_and_adding_does_not_wait() -> None:
    release, made = threading.Event(), list[tuple[str, str]]()

    def make(study: str, tag: str) -> None:
        assert release.wait(60)
        made.append((study, tag))

    queue = ResultQueue(make, lambda *_: None, nullcontext)
    queue.add("anna", "final")
    queue.add("bert", "original")
    assert made == []
    release.set()
    queue.wait()
    assert made == [("anna", "final"), ("bert", "original")]


def test_an_error_is_noted_and_the_next_result_is_made() -> None:
    made, noted = list[str](), list[tuple[str, str, str]]()

    def make(study: str, tag: str) -> None:
        if study == "anna":
            raise InputError("no grid", expected="a grid", remedy="send one")
        if study == "bert":
            raise ZeroDivisionError("secret of a patient")
        if study == "dora":
            raise OSError(errno.ENOSPC, "No space left on device", "/state/results")
        made.append(study)

    queue = ResultQueue(make, lambda *note: noted.append(note), nullcontext)
    for study in ("anna", "bert", "dora", "carl"):
        queue.add(study, "final")
    queue.wait()
    assert made == ["carl"]
    assert [study for study, _, _ in noted] == ["anna", "bert", "dora"]
    assert "no grid" in noted[0][2]
    assert "ZeroDivisionError" in noted[1][2]
    assert "secret" not in noted[1][2]
    assert noted[2][2].endswith("No space left on device")


def test_a_problem_that_cannot_be_noted_ends_nothing() -> None:
    made = list[str]()

    def make(study: str, tag: str) -> None:
        if study == "anna":
            raise InputError("no grid", expected="a grid", remedy="send one")
        made.append(study)

    def note(*_: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    queue = ResultQueue(make, note, nullcontext)
    for study in ("anna", "bert"):
        queue.add(study, "final")
    queue.wait()
    assert made == ["bert"]


def test_a_result_waits_until_no_other_job_runs_and_then_holds_none_up() -> None:
    idle, events = threading.Event(), list[str]()

    @contextmanager
    def turn(study: str) -> Iterator[None]:
        assert idle.wait(60)
        events.append(f"turn of {study}")
        yield
        events.append("turn over")

    queue = ResultQueue(lambda *_: events.append("made"), lambda *_: None, turn)
    queue.add("anna", "final")
    wait_until(lambda: any(t.name == "results" for t in threading.enumerate()))
    assert events == []
    idle.set()
    queue.wait()
    assert events == ["turn of anna", "turn over", "made"]
