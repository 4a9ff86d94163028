"""A clock that goes on only when a test, or a fake encoder, says so."""

from dataclasses import dataclass


@dataclass
class FakeClock:
    """Seconds since the start of the test."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s
