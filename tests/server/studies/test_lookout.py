import threading

import pytest

from tests.waiting import wait_until
from zeus_app.errors import InputError
from zeus_app.server.studies.lookout import Lookout


class Bell(Lookout):
    """Counts its looks, which may fail or wait."""

    sought = "bells"

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.looks, self.error = 0, error
        self.goes_on = threading.Event()
        self.goes_on.set()

    def look_now(self) -> None:
        self.looks += 1
        self.goes_on.wait()
        if self.error:
            raise self.error


def test_a_request_goes_on_while_a_look_takes_long() -> None:
    bell = Bell()
    bell.goes_on.clear()
    bell.look(wait_s=0.01)
    bell.look(wait_s=0.01)
    assert bell.looks == 1  # the second request has joined the look of the first
    bell.goes_on.set()


def test_after_a_look_the_next_one_waits_for_the_shortest_pause() -> None:
    bell = Bell()
    bell.least_rest_s = 3600
    for _ in range(3):
        bell.look(wait_s=60)
    assert bell.looks == 1


def test_an_urgent_look_waits_for_no_pause() -> None:
    bell = Bell()
    bell.least_rest_s = 3600
    bell.look(wait_s=60)
    bell.look_at_once(wait_s=60)
    assert bell.looks == 2


def test_an_urgent_look_begins_after_one_that_has_asked_already() -> None:
    bell = Bell()
    bell.goes_on.clear()
    bell.look(wait_s=0)
    urgent = threading.Thread(target=bell.look_at_once, kwargs={"wait_s": 60})
    urgent.start()
    bell.goes_on.set()
    urgent.join()
    assert bell.looks == 2


@pytest.mark.parametrize(
    "error",
    [InputError("no answer", expected="an answer", remedy="try again"), RuntimeError("a bug")],
)
def test_a_failure_is_logged_and_the_next_look_tries_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bell = Bell(error)
    bell.look(wait_s=60)
    assert "no new bells can be found" in caplog.text
    bell.error = None

    def has_looked_again() -> bool:
        bell.look(wait_s=60)
        return bell.looks == 2

    wait_until(has_looked_again)
