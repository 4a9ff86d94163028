"""The peak of a process's resident memory, counted by the Linux kernel."""

import os
from contextlib import suppress
from pathlib import Path

CLEAR = Path("/proc/self/clear_refs")
RESTART_PEAK = "5"
"""What proc(5) says to write to `CLEAR`, so that the peak becomes the present size."""


def restart_peak() -> None:
    """Forget the peak so far. Where the kernel refuses, the peak of the whole process counts."""
    with suppress(OSError):
        CLEAR.write_text(RESTART_PEAK)


def peak_mib(pid: int | None = None) -> float | None:
    """The peak since `restart_peak`, in MiB; None if not on Linux.

    Args:
        pid: a process; None for this one.
    """
    path = Path(f"/proc/{pid or os.getpid()}/status")
    if not path.exists():
        return None
    peaks = [line.split()[1] for line in path.read_text().splitlines() if line.startswith("VmHWM")]
    return int(peaks[0]) / 1024 if peaks else None
