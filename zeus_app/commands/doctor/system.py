"""The section "system": operating system, Python, processor, memory, GPU."""

import os
import platform
import sys
from pathlib import Path

from zeus_app.commands.doctor.probe_process import Probe
from zeus_app.commands.doctor.sections import Section

GIB = 2**30
PYTHON = (3, 11)
LEAST_MEMORY_GIB = 4.0  # a server needs up to 3 GiB (docs/speed.md)
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def fill_system(section: Section, probe: Probe) -> None:
    """Read the machine. Nothing outside it is asked."""
    section.fact("operating system", _operating_system)
    section.facts["Python"] = f"{platform.python_version()} ({platform.python_implementation()})"
    section.fact("processor", _processor)
    section.fact("cores", _cores)
    section.fact("memory", lambda: f"{memory_gib():.1f} GiB, of which {_free_gib():.1f} are free")
    section.facts["GPU"] = probe.gpu or "none that PyTorch can use; Zeus runs on the processor"
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "MALLOC_ARENA_MAX"):
        if name in os.environ:
            section.facts[name] = os.environ[name]
    for name in ("ZEUS_WEIGHTS", "ZEUS_PLUGINS", "ZEUS_REAL_DATA"):
        if name in os.environ:
            section.facts[name] = "set"
    if sys.version_info[:2] != PYTHON:
        section.problem(
            f"this is Python {platform.python_version()}, and Zeus needs 3.11",
            "install Python 3.11, then run `make setup PYTHON=python3.11`",
        )
    if platform.system() != "Linux":
        section.problem(
            f"the operating system is {platform.system()}, and Zeus is tested on Linux alone",
            "use Linux, also in a virtual machine or WSL",
        )
    if (memory := memory_gib()) < LEAST_MEMORY_GIB:
        section.problem(
            f"there are {memory:.1f} GiB of memory; a server needs up to 3 GiB of its own",
            f"use a machine, or a limit of the container, with {LEAST_MEMORY_GIB:g} GiB",
        )


def _operating_system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        name = platform.system()
    return f"{name}, {platform.system()} {platform.release()}, {platform.machine()}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{os.cpu_count()}, of which this process may use {usable}"


def memory_gib() -> float:
    """Memory of this machine, or the limit of its container if that is lower, in GiB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [Path(path).read_text().strip() for path in _LIMITS if Path(path).is_file()]
    return min([total, *(int(limit) for limit in limits if limit.isdigit())]) / GIB


def _free_gib() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    available = next(line for line in lines if line.startswith("MemAvailable"))
    return int(available.split()[1]) * 1024 / GIB
