"""Whether a process still runs, by its id and its start time."""

import psutil

_CLOCK_SLACK_S = 5  # two readings of one process's start time may differ by this much


def is_running(pid: int, started_s: float) -> bool:
    """Whether the process of this id and start time still runs; a zombie does not.

    The start time matters because the system gives the ids of ended processes to new ones.

    Args:
        pid: the process id.
        started_s: its start time, in seconds since 1970.
    """
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - started_s) < _CLOCK_SLACK_S
        return is_same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
