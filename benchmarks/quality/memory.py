"""The peak of this process's resident memory, counted by the Linux kernel."""

from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.speed.memory import kernel_peak_mib

CLEAR = Path("/proc/self/clear_refs")
RESTART_PEAK = "5"
"""What proc(5) says to write to `CLEAR`, so that the peak becomes the present size."""


def restart_peak() -> None:
    """Forget the peak so far. Where the kernel refuses, the peak of the whole process counts."""
    with suppress(OSError):
        CLEAR.write_text(RESTART_PEAK)


def peak_mib() -> float | None:
    """The peak since `restart_peak`, in MiB; None if not on Linux."""
    return kernel_peak_mib(psutil.Process())
