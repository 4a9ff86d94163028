"""The machine, and what makes it unfit."""

import platform

import psutil
import pytest

from zeus_app.commands.doctor import system
from zeus_app.commands.doctor.probe_process import Probe
from zeus_app.commands.doctor.sections import Section
from zeus_app.commands.doctor.system import fill_system, memory_gib


def test_this_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEUS_PLUGINS", "secret.module")
    section = Section("system")
    fill_system(section, Probe())
    assert section.facts["Python"].startswith(platform.python_version())
    assert section.facts["GPU"].startswith("none")
    assert not [text for text in section.facts.values() if text.startswith("unknown")]
    assert section.facts["ZEUS_PLUGINS"] == "set"
    assert section.problems == []


def test_the_memory_is_not_more_than_psutil_says() -> None:
    assert 0 < memory_gib() <= psutil.virtual_memory().total / 2**30 + 0.01


def test_another_system_another_python_and_little_memory_are_problems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system, "PYTHON", (3, 99))
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(system, "memory_gib", lambda: 2.0)
    section = Section("system")
    fill_system(section, Probe(gpu="NVIDIA A, 24 GiB; CUDA 13.0"))
    assert section.facts["GPU"] == "NVIDIA A, 24 GiB; CUDA 13.0"
    assert [problem.what.split()[0] for problem in section.problems] == ["this", "the", "there"]
    assert all(problem.remedy for problem in section.problems)


def test_a_fact_that_cannot_be_read_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise FileNotFoundError("/proc/cpuinfo")

    monkeypatch.setattr(system, "_processor", fail)
    section = Section("system")
    fill_system(section, Probe())
    assert section.facts["processor"] == "unknown (FileNotFoundError: /proc/cpuinfo)"
    assert section.facts["cores"]
