"""The one way in which tests wait: for a condition, never for a time."""

from collections.abc import Callable

# Bound here, so that a test that stops `time.monotonic` still waits by the true clock.
from time import monotonic, sleep

POLL_S = 0.01


def wait_until(
    condition: Callable[[], object], *, timeout_s: float = 60, poll_s: float = POLL_S
) -> None:
    """Return as soon as the condition is true.

    Args:
        condition: asked again and again.
        timeout_s: how long until the test fails; generous, because it decides nothing else.
        poll_s: pause between two calls of the condition.

    Raises:
        AssertionError: the condition was still false after `timeout_s`.
    """
    deadline = monotonic() + timeout_s
    while not condition():
        if monotonic() > deadline:
            raise AssertionError(f"the condition was still false after {timeout_s:g} s")
        sleep(poll_s)
