"""Whose turn it is, in threads that move only when told to."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from zeus_app.errors import BusyError, CancelledError, UnknownNameError
from zeus_app.server.jobs import scheduler as line
from zeus_app.server.jobs.jobs import Client, Job, Jobs, asking

LONG_S = 10


class Work:
    """A job in a thread of its own: each `step` is one call of its report."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Job]], log: list[str]) -> None:
        self.error: Exception | None = None
        self.running = threading.Event()
        self._steps: queue.Queue[str | None] = queue.Queue()
        self._done: queue.Queue[str] = queue.Queue()
        self._begin, self._log = begin, log
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            with self._begin() as job:
                self._log.append(job.study)
                self.running.set()
                while (stage := self._steps.get(timeout=LONG_S)) is not None:
                    job(stage, 0, 1)
                    self._done.put(stage)
        except Exception as error:
            self.error = error

    def tell(self, stage: str) -> None:
        """Let it report, without waiting for it to come back."""
        self._steps.put(stage)

    def step(self, stage: str) -> None:
        self.tell(stage)
        while self._done.get(timeout=LONG_S) != stage:
            pass  # it came back from one that it was told before

    def allow_to_end(self) -> None:
        self._steps.put(None)

    def end(self) -> None:
        self.allow_to_end()
        self.thread.join(LONG_S)
        assert not self.thread.is_alive()


class Office:
    """Jobs, the works begun with them, and the order in which studies got their turn."""

    def __init__(self, waiting: int = 8) -> None:
        self.jobs = Jobs(waiting=waiting)
        self.log: list[str] = []
        self.works: list[Work] = []

    def infer(self, study: str, *, urgent: bool = False) -> Work:
        return self._begun(lambda: self.jobs.job(study, urgent=urgent))

    def prepare(self, study: str) -> Work:
        return self._begun(lambda: self.jobs.background(study))

    def _begun(self, begin: Callable[[], AbstractContextManager[Job]]) -> Work:
        known = len(self.jobs._line.order())
        work = Work(begin, self.log)
        self.works.append(work)
        until(lambda: len(self.jobs._line.order()) > known or not work.thread.is_alive())
        return work

    def stages(self) -> list[tuple[str, str]]:
        return [(one["study"], one["stage"]) for one in self.jobs.as_json()]

    def end(self) -> None:
        for work in self.works:
            work.allow_to_end()
        for work in self.works:
            work.end()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.end()


def test_one_runs_at_a_time(office: Office) -> None:
    first, second = office.infer("a"), office.infer("b")
    assert first.running.wait(LONG_S)
    assert not second.running.is_set()
    first.end()
    assert second.running.wait(LONG_S)


def test_a_study_that_floods_the_line_does_not_keep_another_out(office: Office) -> None:
    for study in ("flood", "flood", "flood", "flood", "other"):
        office.infer(study)
    office.end()
    assert office.log[:2] == ["flood", "other"]


def test_among_studies_that_were_not_served_the_first_to_come_is_the_first(office: Office) -> None:
    for study in ("a", "b", "c"):
        office.infer(study)
    office.end()
    assert office.log == ["a", "b", "c"]


def test_a_click_goes_before_inferences_that_wait(office: Office) -> None:
    office.infer("a")
    office.infer("b")
    office.infer("clicked", urgent=True)
    office.end()
    assert office.log == ["a", "clicked", "b"]


def test_a_click_waits_for_one_batch_of_a_running_inference(office: Office) -> None:
    heavy = office.infer("heavy")
    heavy.step("encoding")
    click = office.infer("clicked", urgent=True)
    assert not click.running.is_set()
    heavy.tell("encoding")  # a batch ended
    assert click.running.wait(LONG_S)
    assert office.stages() == [("clicked", "waiting"), ("heavy", "paused")]
    click.end()
    heavy.step("decoding")
    assert office.stages() == [("heavy", "decoding")]


def test_a_paused_inference_goes_on_before_those_that_did_not_begin(office: Office) -> None:
    heavy = office.infer("heavy")
    heavy.step("encoding")
    next_one = office.infer("next")
    click = office.infer("clicked", urgent=True)
    heavy.tell("encoding")
    click.end()
    heavy.step("decoding")
    assert not next_one.running.is_set()


def test_what_a_click_began_lets_other_clicks_go_first_but_no_inference() -> None:
    jobs, log = Jobs(), []

    def enter(study: str, urgent: bool) -> threading.Thread:
        def work() -> None:
            with jobs.job(study, urgent=urgent):
                log.append(study)

        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: study in [one["study"] for one in jobs.as_json()])
        return thread

    with jobs.job("carried", urgent=True) as job:
        waiting = [enter("inference", False), enter("clicked", True)]
        job.turn = line.Priority.PROPAGATING
        job("carrying on", 1, 9)
        assert log == ["clicked"]
        job("carrying on", 2, 9)
        assert log == ["clicked"]
    for thread in waiting:
        thread.join(LONG_S)
    assert log == ["clicked", "inference"]


def test_an_inference_is_not_paused_by_another(office: Office) -> None:
    first, second = office.infer("a"), office.infer("b")
    first.step("encoding")
    assert not second.running.is_set()


@pytest.mark.parametrize("urgent", [True, False])
def test_preparation_gives_way_to_anything(office: Office, urgent: bool) -> None:
    preparing = office.prepare("opened")
    assert preparing.running.wait(LONG_S)
    other = office.infer("a", urgent=urgent)
    preparing.tell("encoding")
    assert other.running.wait(LONG_S)
    other.end()
    preparing.step("encoding")


def test_preparation_is_not_among_the_inferences(office: Office) -> None:
    office.prepare("opened")
    assert office.jobs.as_json() == []
    with pytest.raises(UnknownNameError):
        office.jobs.cancel("opened")


def test_beyond_the_bound_one_is_refused_with_the_time_to_come_back() -> None:
    office = Office(waiting=2)
    for study in ("a", "b", "c"):
        office.infer(study)
    refused = office.infer("d")
    refused.thread.join(LONG_S)
    assert isinstance(refused.error, BusyError)
    assert refused.error.retry_after_s >= 1
    assert "2 inferences wait already" in str(refused.error)
    office.end()
    assert office.log == ["a", "b", "c"]


def test_a_click_finds_room_when_no_more_inferences_may_wait() -> None:
    office = Office(waiting=1)
    office.infer("a")
    office.infer("b")
    click = office.infer("clicked", urgent=True)
    office.end()
    assert click.error is None
    assert office.log == ["a", "clicked", "b"]


def test_the_time_to_come_back_is_what_is_left_of_the_usual(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(line.time, "monotonic", lambda: now)
    jobs = Jobs(waiting=1)
    for took in (20.0, 40.0):
        with jobs.job("a"):
            now += took
    with jobs.job("b"):
        waiting = threading.Thread(target=lambda: jobs.job("c").__enter__())
        waiting.start()
        while len(jobs.as_json()) < 2:  # `until` would look at the clock that stands still
            waiting.join(0.001)
        now += 12.5
        with pytest.raises(BusyError) as refused, jobs.job("d"):
            pass
    waiting.join(LONG_S)
    assert refused.value.retry_after_s == 18  # usually 30 s, of which 12.5 are over


def test_the_first_one_counts_as_half_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(line.time, "monotonic", lambda: now)
    busy: line.PriorityScheduler[line.QueueEntry] = line.PriorityScheduler(waiting=0)
    busy.join(line.QueueEntry("a"))
    now += 7
    with pytest.raises(BusyError) as refused:
        busy.join(line.QueueEntry("b"))
    assert refused.value.retry_after_s == 7


def test_a_pause_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(line.time, "monotonic", lambda: now)
    heavy = line.QueueEntry("a")
    heavy.begin()
    now += 7
    heavy.end()
    heavy.paused = True
    now += 1000
    assert heavy.had_s() == 7
    heavy.begin()
    now += 3
    assert heavy.had_s() == 10


def test_one_that_waits_can_be_cancelled(office: Office) -> None:
    office.infer("a")
    waiting = office.infer("b")
    assert office.jobs.cancel("b") == 1
    waiting.thread.join(LONG_S)
    assert isinstance(waiting.error, CancelledError)
    assert office.stages() == [("a", "waiting")]


def test_one_that_runs_stops_at_its_next_batch_and_hands_on(office: Office) -> None:
    running, waiting = office.infer("a"), office.infer("b")
    office.jobs.cancel("a")
    running.tell("encoding")
    assert waiting.running.wait(LONG_S)
    assert isinstance(running.error, CancelledError)


def test_one_that_is_paused_can_be_cancelled(office: Office) -> None:
    heavy = office.infer("heavy")
    heavy.step("encoding")
    click = office.infer("clicked", urgent=True)
    heavy.tell("encoding")
    assert click.running.wait(LONG_S)
    office.jobs.cancel("heavy")
    heavy.thread.join(LONG_S)
    assert isinstance(heavy.error, CancelledError)
    assert [one["study"] for one in office.jobs.as_json()] == ["clicked"]


def test_what_is_done_for_a_client_that_goes_away_is_cancelled_and_nothing_else() -> None:
    jobs, client = Jobs(), Client()
    token = asking.set(client)
    with jobs.job("a") as hers:
        pass
    asking.reset(token)
    with jobs.job("b") as another_s:
        jobs.forget(client)
        another_s("encoding", 0, 1)
        with pytest.raises(CancelledError):
            hers("encoding", 0, 1)


def test_a_client_that_left_before_its_turn_in_line_gets_none() -> None:
    jobs, client = Jobs(), Client()
    jobs.forget(client)
    token = asking.set(client)
    with pytest.raises(CancelledError), jobs.job("a"):
        pass
    asking.reset(token)
    assert jobs.as_json() == []


def test_a_piece_of_work_that_fails_hands_the_turn_on() -> None:
    jobs = Jobs()
    with pytest.raises(ZeroDivisionError), jobs.job("a"):
        raise ZeroDivisionError
    with jobs.job("b") as job:
        assert job.study == "b"
