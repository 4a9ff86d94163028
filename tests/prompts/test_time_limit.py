"""A batch begins if it would end in time, should it take as long as the last one."""

import pytest

from tests.prompts.fake_clock import FakeClock
from zeus_app.prompts.time_limit import TimeLimit, TimeOverError


def encode(limit: TimeLimit, clock: FakeClock, seconds: float) -> None:
    limit.begin_batch()
    clock.now_s += seconds
    limit.end_batch()


def test_batches_begin_while_there_is_time() -> None:
    clock = FakeClock()
    limit = TimeLimit(5, clock)
    encode(limit, clock, 2)
    encode(limit, clock, 2)
    with pytest.raises(TimeOverError):
        limit.begin_batch()  # it would end after 6 s


def test_the_last_batch_tells_how_long_the_next_one_takes() -> None:
    clock = FakeClock()
    limit = TimeLimit(5, clock)
    encode(limit, clock, 3)  # the first batch warms up
    with pytest.raises(TimeOverError):
        limit.begin_batch()
    limit.begin_batch(always=True)
    clock.now_s += 0.5
    limit.end_batch()
    encode(limit, clock, 0.5)
    assert clock.now_s == 4


def test_without_time_no_batch_begins() -> None:
    with pytest.raises(TimeOverError):
        TimeLimit(0, FakeClock()).begin_batch()


def test_without_a_limit_every_batch_begins() -> None:
    clock = FakeClock()
    limit = TimeLimit(clock=clock)
    encode(limit, clock, 1e9)
    limit.begin_batch()


def test_pauses_between_batches_are_no_part_of_a_batch() -> None:
    clock = FakeClock()
    limit = TimeLimit(10, clock)
    encode(limit, clock, 1)
    clock.now_s += 8  # a more urgent click
    limit.end_batch()
    limit.begin_batch()  # ends after 10 s
