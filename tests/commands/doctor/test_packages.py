"""Versions, and the pins that differ."""

import subprocess
from pathlib import Path

import pytest

from zeus_app.commands.doctor import packages
from zeus_app.commands.doctor.packages import commit, fill_packages, fill_zeus, same_version
from zeus_app.commands.doctor.probe_process import Probe
from zeus_app.commands.doctor.sections import Section


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packages, "CHECKOUT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("there", "pin", "fits"),
    [("2.14.1", "2.14.1", True), ("2.14.1+cpu", "2.14.1", True), ("2.14.2", "2.14.1", False),
     ("2.14.1+cpu", "2.14.1+cu130", False)],
)  # fmt: skip
def test_a_pin_without_a_local_part_fits_every_build(there: str, pin: str, fits: bool) -> None:
    assert same_version(there, pin) is fits


def test_missing_packages_and_packages_that_differ_from_their_pin_are_named(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("zz-none==1.0 # a reason\nnumpy==1.0\n")
    (checkout / "constraints.txt").write_text("numpy==1.0\nzz_optional==3\n# torch==0\n")
    section = Section("packages")
    fill_packages(section, Probe())
    assert section.facts["pins"] == "1 of 3 differ"
    whats = [problem.what for problem in section.problems]
    assert whats[0] == "packages are missing: zz-none"
    assert whats[1].startswith("packages differ from constraints.txt: numpy 1.26")
    assert whats[1].endswith("(pin 1.0)")
    assert all("make setup" in problem.remedy for problem in section.problems)


def test_without_constraints_the_pins_are_not_compared(checkout: Path) -> None:
    section = Section("packages")
    fill_packages(section, Probe())
    assert "not compared" in section.facts["pins"]
    assert section.problems == []


def test_a_failed_import_is_a_problem(checkout: Path) -> None:
    section = Section("packages")
    fill_packages(section, Probe(failures={"torch": "it ends the process with SIGILL"}))
    assert [problem.what for problem in section.problems] == [
        "torch cannot be imported: it ends the process with SIGILL"
    ]


def test_packages_with_missing_files_are_named(checkout: Path) -> None:
    program = checkout / "scripts" / "find_broken_packages.py"
    program.parent.mkdir()
    program.write_text("print('torch==2.14.1')")
    section = Section("packages")
    fill_packages(section, Probe())
    assert section.problems[-1].what == "packages with missing or cut files: torch==2.14.1"


def test_the_commit_is_told_and_whether_files_have_changed(checkout: Path) -> None:
    assert commit() == "unknown: no checkout of git"

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
        command = ["git", "-C", str(checkout), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (checkout / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "a")
    assert commit() == git("rev-parse", "--short=10", "HEAD")
    (checkout / "a").write_text("2")
    assert commit().endswith(", with changed files")


def test_zeus_outside_a_virtual_environment_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.base_prefix", "/usr")
    monkeypatch.setattr("sys.prefix", "/usr")
    section = Section("Zeus")
    fill_zeus(section)
    assert section.facts["version"]
    assert "make setup" in section.problems[0].remedy
