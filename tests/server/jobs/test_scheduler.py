"""Which job runs when. The jobs are threads that go on step by step, as a test tells them."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.waiting import wait_until
from zeus_app.errors import BusyError, CancelledError, UnknownNameError
from zeus_app.server.jobs.jobs import Client, Job, Jobs, current_client
from zeus_app.server.jobs.scheduler import Priority, PriorityScheduler, QueueEntry

LONG_S = 10


class Worker:
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

    def start_step(self, stage: str) -> None:
        """Let the job report, without waiting until the report returns."""
        self._steps.put(stage)

    def step(self, stage: str) -> None:
        self.start_step(stage)
        while self._done.get(timeout=LONG_S) != stage:
            pass  # an earlier step returned

    def allow_to_end(self) -> None:
        self._steps.put(None)

    def end(self) -> None:
        self.allow_to_end()
        self.thread.join(LONG_S)
        assert not self.thread.is_alive()


class Bench:
    """Jobs, their workers, and the studies in the order in which their jobs began to run."""

    def __init__(self, max_waiting: int = 8) -> None:
        self.jobs = Jobs(max_waiting=max_waiting)
        self.log: list[str] = []
        self.workers: list[Worker] = []

    def infer(self, study: str, *, urgent: bool = False) -> Worker:
        """An inference that runs, waits or was refused when this returns."""
        queued = len(self.jobs.as_json())
        worker = self._start(lambda: self.jobs.job(study, urgent=urgent))
        wait_until(lambda: len(self.jobs.as_json()) > queued or not worker.thread.is_alive())
        return worker

    def prepare(self, study: str) -> Worker:
        """A background encoding that runs when this returns; no other job may run."""
        worker = self._start(lambda: self.jobs.background(study))
        assert worker.running.wait(LONG_S)
        return worker

    def _start(self, begin: Callable[[], AbstractContextManager[Job]]) -> Worker:
        worker = Worker(begin, self.log)
        self.workers.append(worker)
        return worker

    def stages(self) -> list[tuple[str, str]]:
        return [(job["study"], job["stage"]) for job in self.jobs.as_json()]

    def end(self) -> None:
        for worker in self.workers:
            worker.allow_to_end()
        for worker in self.workers:
            worker.end()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.end()


def test_one_runs_at_a_time(bench: Bench) -> None:
    first, second = bench.infer("a"), bench.infer("b")
    assert first.running.wait(LONG_S)
    assert not second.running.is_set()
    first.end()
    assert second.running.wait(LONG_S)


def test_a_study_that_floods_the_queue_does_not_block_another(bench: Bench) -> None:
    for study in ("flood", "flood", "flood", "flood", "other"):
        bench.infer(study)
    bench.end()
    assert bench.log[:2] == ["flood", "other"]


def test_studies_that_never_ran_run_in_the_order_of_arrival(bench: Bench) -> None:
    for study in ("a", "b", "c"):
        bench.infer(study)
    bench.end()
    assert bench.log == ["a", "b", "c"]


def test_a_click_runs_before_inferences_that_wait(bench: Bench) -> None:
    bench.infer("a")
    bench.infer("b")
    bench.infer("clicked", urgent=True)
    bench.end()
    assert bench.log == ["a", "clicked", "b"]


def test_a_click_waits_for_one_batch_of_a_running_inference(bench: Bench) -> None:
    inference = bench.infer("inference")
    inference.step("encoding")
    click = bench.infer("clicked", urgent=True)
    assert not click.running.is_set()
    inference.start_step("encoding")  # a batch ended
    assert click.running.wait(LONG_S)
    assert bench.stages() == [("clicked", "waiting"), ("inference", "paused")]
    click.end()
    inference.step("decoding")
    assert bench.stages() == [("inference", "decoding")]


def test_a_paused_inference_goes_on_before_those_that_did_not_begin(bench: Bench) -> None:
    inference = bench.infer("inference")
    inference.step("encoding")
    other = bench.infer("other")
    click = bench.infer("clicked", urgent=True)
    inference.start_step("encoding")
    click.end()
    inference.step("decoding")
    assert not other.running.is_set()


def test_a_propagation_yields_to_clicks_and_not_to_inferences() -> None:
    jobs = Jobs()
    log: list[str] = []

    def enter(study: str, urgent: bool) -> threading.Thread:
        def work() -> None:
            with jobs.job(study, urgent=urgent):
                log.append(study)

        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: study in [job["study"] for job in jobs.as_json()])
        return thread

    with jobs.job("propagated", urgent=True) as job:
        threads = [enter("inference", False), enter("clicked", True)]
        job.priority = Priority.PROPAGATION
        job("propagating", 1, 9)
        assert log == ["clicked"]
        job("propagating", 2, 9)
        assert log == ["clicked"]
    for thread in threads:
        thread.join(LONG_S)
    assert log == ["clicked", "inference"]


def test_an_inference_does_not_pause_for_another(bench: Bench) -> None:
    first, second = bench.infer("a"), bench.infer("b")
    first.step("encoding")
    assert not second.running.is_set()


@pytest.mark.parametrize("urgent", [True, False])
def test_background_encoding_yields_to_clicks_and_inferences(bench: Bench, urgent: bool) -> None:
    preparation = bench.prepare("opened")
    other = bench.infer("a", urgent=urgent)
    preparation.start_step("encoding")
    assert other.running.wait(LONG_S)
    other.end()
    preparation.step("encoding")


def test_background_encoding_is_not_listed_among_the_inferences(bench: Bench) -> None:
    bench.prepare("opened")
    assert bench.jobs.as_json() == []
    with pytest.raises(UnknownNameError):
        bench.jobs.cancel("opened")


def test_beyond_the_limit_a_request_is_refused_with_a_time_to_retry() -> None:
    bench = Bench(max_waiting=2)
    for study in ("a", "b", "c"):
        bench.infer(study)
    refused = bench.infer("d")
    refused.thread.join(LONG_S)
    assert isinstance(refused.error, BusyError)
    assert refused.error.retry_after_s >= 1
    assert "2 inferences wait already" in str(refused.error)
    bench.end()
    assert bench.log == ["a", "b", "c"]


def test_a_click_may_wait_when_no_more_inferences_may() -> None:
    bench = Bench(max_waiting=1)
    bench.infer("a")
    bench.infer("b")
    click = bench.infer("clicked", urgent=True)
    bench.end()
    assert click.error is None
    assert bench.log == ["a", "clicked", "b"]


def test_the_time_to_retry_is_the_mean_time_less_the_time_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    jobs = Jobs(max_waiting=1)
    for duration_s in (20.0, 40.0):
        with jobs.job("a"):
            now += duration_s
    with jobs.job("b"):
        waiting = threading.Thread(target=lambda: jobs.job("c").__enter__())
        waiting.start()
        wait_until(lambda: len(jobs.as_json()) == 2)
        now += 12.5
        with pytest.raises(BusyError) as refused, jobs.job("d"):
            pass
    waiting.join(LONG_S)
    assert refused.value.retry_after_s == 18  # 30 s on average, of which 12.5 s are over


def test_the_first_job_counts_as_half_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    busy: PriorityScheduler[QueueEntry] = PriorityScheduler(max_waiting=0)
    busy.enter(QueueEntry("a"))
    now += 7
    with pytest.raises(BusyError) as refused:
        busy.enter(QueueEntry("b"))
    assert refused.value.retry_after_s == 7


def test_a_pause_is_not_counted_as_time_that_a_job_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    entry = QueueEntry("a")
    entry.resume()
    now += 7
    entry.stop()
    entry.paused = True
    now += 1000
    assert entry.elapsed_s() == 7
    entry.resume()
    now += 3
    assert entry.elapsed_s() == 10


def test_a_waiting_job_can_be_cancelled(bench: Bench) -> None:
    bench.infer("a")
    waiting = bench.infer("b")
    assert bench.jobs.cancel("b") == 1
    waiting.thread.join(LONG_S)
    assert isinstance(waiting.error, CancelledError)
    assert bench.stages() == [("a", "waiting")]


def test_a_cancelled_job_stops_at_its_next_batch_and_the_next_job_runs(bench: Bench) -> None:
    running, waiting = bench.infer("a"), bench.infer("b")
    bench.jobs.cancel("a")
    running.start_step("encoding")
    assert waiting.running.wait(LONG_S)
    assert isinstance(running.error, CancelledError)


def test_a_paused_job_can_be_cancelled(bench: Bench) -> None:
    inference = bench.infer("inference")
    inference.step("encoding")
    click = bench.infer("clicked", urgent=True)
    inference.start_step("encoding")
    assert click.running.wait(LONG_S)
    bench.jobs.cancel("inference")
    inference.thread.join(LONG_S)
    assert isinstance(inference.error, CancelledError)
    assert [job["study"] for job in bench.jobs.as_json()] == ["clicked"]


def test_only_the_jobs_of_a_disconnected_client_are_cancelled() -> None:
    jobs, client = Jobs(), Client()
    token = current_client.set(client)
    with jobs.job("a") as of_client:
        pass
    current_client.reset(token)
    with jobs.job("b") as of_another:
        jobs.cancel_for(client)
        of_another("encoding", 0, 1)
        with pytest.raises(CancelledError):
            of_client("encoding", 0, 1)


def test_no_job_of_a_client_that_disconnected_earlier_is_queued() -> None:
    jobs, client = Jobs(), Client()
    jobs.cancel_for(client)
    token = current_client.set(client)
    with pytest.raises(CancelledError), jobs.job("a"):
        pass
    current_client.reset(token)
    assert jobs.as_json() == []


def test_after_a_job_that_fails_the_next_one_runs() -> None:
    jobs = Jobs()
    with pytest.raises(ZeroDivisionError), jobs.job("a"):
        raise ZeroDivisionError
    with jobs.job("b") as job:
        assert job.study == "b"
