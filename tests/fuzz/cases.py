"""How many cases are tried, and how Hypothesis makes them.

`make test` tries the same 200 cases each time. `make fuzz` sets ZEUS_FUZZ_CASES and tries others.
"""

import os

from hypothesis import HealthCheck, settings

DEFAULT_CASES = 200
_SET = os.environ.get("ZEUS_FUZZ_CASES", "")
CASES = int(_SET or DEFAULT_CASES)
IS_SEEDED = not _SET


def try_cases(count: int) -> settings:
    """Settings for a property that is tried so many times, at least once."""
    return settings(
        max_examples=max(1, count),
        derandomize=IS_SEEDED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
