"""Jobs that clients fetch later: their states, their owners, and how long results are kept."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until
from zeus_app.errors import BusyError, InputError, UnknownNameError
from zeus_app.server.jobs.inference_jobs import InferenceJob, InferenceJobs, JobLimits
from zeus_app.server.jobs.jobs import Client, Jobs

Run = Callable[[InferenceJob], Awaitable[dict[str, Any]]]
REFUSED = InputError("a study", expected="another", remedy="choose one")


def jobs_with(**limits: Any) -> InferenceJobs:
    return InferenceJobs(JobLimits(**{"unfinished": 2, **limits}))


def gives(file: Path, size: int = 1) -> Run:
    async def run(job: InferenceJob) -> dict[str, Any]:
        file.write_bytes(bytes(size))
        return {"file": str(file)}

    return run


async def waits(job: InferenceJob) -> dict[str, Any]:
    client = Client(has_begun=True)
    job.joins(client)
    await job.cancelled.wait()
    raise REFUSED


async def fails(job: InferenceJob) -> dict[str, Any]:
    raise REFUSED


async def ended(job: InferenceJob) -> InferenceJob:
    """The job once its end is noted, which comes after the end of its task."""
    await asyncio.wait({job.task})
    assert job.ended_s is not None
    return job


def test_a_job_is_queued_runs_and_is_done(tmp_path: Path) -> None:
    async def check() -> None:
        jobs, scheduler = jobs_with(), Jobs()
        job = jobs.start(gives(tmp_path / "mask"), owner="", model="zeus")
        assert job.state(scheduler)["state"] == "queued"
        assert (await ended(job)).state(scheduler)["state"] == "done"
        running = jobs.start(waits, owner="", model="zeus")
        await asyncio.wait({running.task}, timeout=0)
        assert running.state(scheduler)["state"] == "running"
        running.cancelled.set()

    asyncio.run(check())


def test_the_progress_is_that_of_the_run() -> None:
    async def check() -> None:
        jobs, scheduler = jobs_with(), Jobs()
        job = jobs.start(waits, owner="", model="zeus")
        await asyncio.wait({job.task}, timeout=0)
        with scheduler.job("alpha") as report:
            report.client = job.client
            assert job.state(scheduler)["state"] == "queued"
            report("encoding", 3, 8)
            shown = job.state(scheduler)
        values = [shown[key] for key in ("state", "study", "stage", "done", "total")]
        assert values == ["running", "alpha", "encoding", 3, 8]
        job.cancelled.set()

    asyncio.run(check())


def test_a_refused_inference_is_a_failed_job_whose_error_stays() -> None:
    async def check() -> None:
        jobs = jobs_with()
        job = await ended(jobs.start(fails, owner="", model="zeus"))
        assert jobs.get(job.id, owner="").state(Jobs())["state"] == "failed"
        assert job.task.exception() is REFUSED

    asyncio.run(check())


def test_only_its_owner_knows_a_job(tmp_path: Path) -> None:
    async def check() -> None:
        jobs = jobs_with()
        job = await ended(jobs.start(gives(tmp_path / "mask"), owner="ann", model="zeus"))
        assert jobs.get(job.id, owner="ann") is job
        for name, owner in ((job.id, "bob"), (job.id, ""), ("x", "ann")):
            with pytest.raises(UnknownNameError) as refused:
                jobs.get(name, owner=owner)
            assert refused.value.status == 404

    asyncio.run(check())


def test_ids_are_long_and_random(tmp_path: Path) -> None:
    async def check() -> set[str]:
        jobs = jobs_with()
        files = [tmp_path / str(number) for number in range(2)]
        return {jobs.start(gives(file), owner="", model="zeus").id for file in files}

    ids = asyncio.run(check())
    assert len(ids) == 2
    assert all(len(name) == 32 for name in ids)  # 192 bits, six in a character


def test_further_jobs_are_refused_while_too_many_are_unfinished() -> None:
    async def check() -> None:
        jobs = jobs_with(unfinished=1)
        job = jobs.start(waits, owner="", model="zeus")
        with pytest.raises(BusyError, match="1 jobs wait or run already"):
            jobs.start(waits, owner="", model="zeus")
        job.cancelled.set()
        await ended(job)
        jobs.refuse_when_full()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("limits", "sizes", "kept"),
    [
        ({"results": 2}, [1, 1, 1], [1, 2]),
        ({"result_bytes": 10}, [5, 5, 5], [1, 2]),
        ({"result_bytes": 10}, [5, 5, 50], [2]),
        ({}, [1, 1, 1], [0, 1, 2]),
    ],
)
def test_the_oldest_results_go_first_and_the_newest_stays(
    tmp_path: Path, limits: dict[str, int], sizes: list[int], kept: list[int]
) -> None:
    async def check() -> None:
        jobs = jobs_with(**limits)
        for number, size in enumerate(sizes):
            await ended(jobs.start(gives(tmp_path / str(number), size), owner="", model="zeus"))

    asyncio.run(check())
    assert sorted(int(file.name) for file in tmp_path.iterdir()) == kept


def test_a_result_is_deleted_after_its_time(tmp_path: Path) -> None:
    async def check() -> None:
        jobs, file = jobs_with(age_s=0.05), tmp_path / "mask"
        job = await ended(jobs.start(gives(file), owner="", model="zeus"))
        assert file.exists()
        await asyncio.to_thread(wait_until, lambda: not file.exists())
        with pytest.raises(UnknownNameError):
            jobs.get(job.id, owner="")

    asyncio.run(check())


def test_a_removed_job_is_cancelled_or_its_result_is_deleted(tmp_path: Path) -> None:
    async def check() -> None:
        jobs, file = jobs_with(), tmp_path / "mask"
        running = jobs.start(waits, owner="", model="zeus")
        assert jobs.remove(running)
        assert running.cancelled.is_set()
        done = await ended(jobs.start(gives(file), owner="", model="zeus"))
        assert not jobs.remove(done)
        assert not file.exists()

    asyncio.run(check())


def test_a_server_that_ends_cancels_jobs_deletes_results_and_takes_no_more(tmp_path: Path) -> None:
    async def check() -> None:
        jobs, file = jobs_with(), tmp_path / "mask"
        await ended(jobs.start(gives(file), owner="", model="zeus"))
        running = jobs.start(waits, owner="", model="zeus")
        jobs.end_soon()
        await ended(running)
        assert running.cancelled.is_set()
        assert not file.exists()
        with pytest.raises(BusyError):
            jobs.start(waits, owner="", model="zeus")

    asyncio.run(check())
