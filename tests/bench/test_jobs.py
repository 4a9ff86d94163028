"""Jobs: their order, their names, their cost and their shards."""

import pytest

from zeus_app.bench.jobs import Job, Shard, cost_s, in_words, plan
from zeus_app.bench.suite import Suite, load_suite, suite_names
from zeus_app.errors import InputError

COHORT = {"data": "phantoms", "target": "phantom", "folds": (("a",), ("b",))}


def a_suite(**part: object) -> Suite:
    whole = {"name": "p", "title": "P", "cohort": "c", "seconds": 100,
             "entries": ({"model": "unet", "fusion": ["early", "late"]},), **part}  # fmt: skip
    return Suite.model_validate(
        {"name": "s", "about": "", "cohorts": {"c": COHORT}, "parts": (whole,)}
    )


def test_jobs_are_planned_fold_by_fold_and_model_by_model() -> None:
    jobs = plan(a_suite(folds=(0, 1), seeds=(0, 1)))
    assert [(job.fold, job.seed, job.conf["fusion"]) for job in jobs] == [
        (0, 0, "early"), (0, 0, "late"), (0, 1, "early"), (0, 1, "late"),
        (1, 0, "early"), (1, 0, "late"), (1, 1, "early"), (1, 1, "late"),
    ]  # fmt: skip


def test_a_job_s_id_tells_the_model_and_the_patients() -> None:
    jobs = plan(a_suite(patients=(4,)))
    assert [job.id for job in jobs] == [
        "p-u-net-early-4-patients-fold0-seed0",
        "p-u-net-late-4-patients-fold0-seed0",
    ]


@pytest.mark.parametrize("name", suite_names())
def test_the_jobs_of_a_shipped_suite_are_the_same_every_time(name: str) -> None:
    first, second = ([(job.id, job.digest) for job in plan(load_suite(name))] for _ in range(2))
    assert first == second
    assert len({job_id for job_id, _ in first}) == len(first)


def test_a_model_s_title_holds_what_not_all_models_share() -> None:
    suite = a_suite(
        settings={"sequences": "T2"},
        entries=({"model": "unet", "fusion": "early"},
                 {"model": "zeus", "fusion": "late", "decoder": "sam"}),
    )  # fmt: skip
    assert [job.title for job in plan(suite)] == ["U-Net, early", "Zeus, late, sam"]


def test_two_models_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(InputError, match="two jobs p-u-net-fold0-seed0"):
        plan(a_suite(entries=({"model": "unet"}, {"model": "unet"})))


def test_the_digest_changes_with_what_decides_the_result_and_with_nothing_else() -> None:
    job = plan(a_suite())[0]
    same = Job.model_validate({**job.model_dump(), "limit_s": 1, "title": "another"})
    other = Job.model_validate({**job.model_dump(), "seconds": 99})
    assert same.digest == job.digest
    assert other.digest != job.digest


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_shards_part_the_jobs_without_remainder(of: int) -> None:
    jobs = plan(load_suite("local"))
    parts = [Shard(number, of).of_jobs(jobs) for number in range(1, of + 1)]
    assert sorted(job.id for part in parts for job in part) == sorted(job.id for job in jobs)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/"])
def test_a_shard_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="shard"):
        Shard.read(text)


def test_the_second_of_three_shards_has_each_third_job() -> None:
    jobs = plan(a_suite(folds=(0, 1), seeds=(0, 1)))
    assert Shard.read("2/3").of_jobs(jobs) == [jobs[1], jobs[4], jobs[7]]


def test_the_cost_is_the_time_of_all_jobs_and_what_each_takes_besides() -> None:
    jobs = plan(a_suite(folds=(0, 1)))
    assert cost_s(jobs, extra_s=20) == 4 * 120


def test_a_job_costs_at_most_its_limit() -> None:
    assert cost_s(plan(a_suite()), extra_s=10_000) == 2 * 900


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(29, "29 s"), (60, "1 min"), (840, "14 min"), (9060, "2 h 31 min")],
)
def test_durations_are_told_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
