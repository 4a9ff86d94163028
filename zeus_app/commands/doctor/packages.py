"""The sections "Zeus" and "packages": versions, the pins that differ, imports that fail."""

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from zeus_app.commands.doctor.privacy import CHECKOUT
from zeus_app.commands.doctor.probe_process import Probe
from zeus_app.commands.doctor.sections import REPAIR, Section

SHOWN = (
    "torch", "monailabel", "monai", "numpy", "nibabel", "SimpleITK", "pydicom", "transformers",
    "openvino", "onnxruntime", "segment-anything", "fastapi", "uvicorn", "diskcache", "pydantic",
)  # fmt: skip
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)
_MOST_NAMED = 8
_LONGEST_S = 120.0


def fill_zeus(section: Section) -> None:
    """The version of Zeus, and the commit of its checkout."""
    section.fact("version", lambda: version("zeus-mri"))
    section.fact("commit", commit)
    section.facts["installed"] = (
        "in place, from a checkout" if (CHECKOUT / "Makefile").is_file() else "as a package"
    )
    if sys.prefix == sys.base_prefix:
        section.problem(
            "this Python is no virtual environment", "run .venv/bin/zeus, which `make setup` makes"
        )


def commit() -> str:
    """The commit of the checkout, and whether files differ from it."""
    if not (CHECKOUT / ".git").exists():
        return "unknown: no checkout of git"
    head = _git("rev-parse", "--short=10", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{head}, with changed files" if changed else head


def _git(*arguments: str) -> str:
    # The checkout may belong to another user, which git otherwise refuses to read.
    command = ["git", "-c", f"safe.directory={CHECKOUT}", "-C", str(CHECKOUT), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return ended.stdout.strip()


def fill_packages(section: Section, probe: Probe) -> None:
    """Versions of the main packages; packages that are missing, differ from a pin, or fail."""
    for name in SHOWN:
        section.facts[name] = installed(name) or "missing"
    _compare(section, required=pins("requirements.txt"), tested=pins("constraints.txt"))
    for module, error in probe.failures.items():
        section.problem(f"{module} cannot be imported: {error}", REPAIR)
    if broken := _broken_packages():
        section.problem(f"packages with missing or cut files: {_listed(broken)}", REPAIR)


def _compare(section: Section, *, required: Mapping[str, str], tested: Mapping[str, str]) -> None:
    if not tested:
        section.facts["pins"] = "not compared: constraints.txt is in the checkout alone"
        return
    here = {name: installed(name) for name in {**tested, **required}}
    missing = sorted(name for name in required if here[name] is None)
    other = sorted(
        f"{name} {there} (pin {pin})"
        for name, pin in {**tested, **required}.items()
        if (there := here[name]) is not None and not same_version(there, pin)
    )
    section.facts["pins"] = f"{len(other)} of {len(here)} differ"
    if missing:
        section.problem(f"packages are missing: {_listed(missing)}", REPAIR)
    if other:
        section.problem(f"packages differ from constraints.txt: {_listed(other)}", REPAIR)


def pins(name: str) -> dict[str, str]:
    """Package -> pinned version in a file of the checkout; empty without the file."""
    path = CHECKOUT / name
    return dict(_PIN.findall(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def installed(package: str) -> str | None:
    """The installed version of a package; None without it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def same_version(there: str, pin: str) -> bool:
    """Whether a version fits a pin; a pin without a local part (+cpu) fits every local part."""
    return there == pin or ("+" not in pin and there.partition("+")[0] == pin)


def _broken_packages() -> list[str]:
    program = CHECKOUT / "scripts" / "find_broken_packages.py"
    if not program.is_file():
        return []
    command = [sys.executable, str(program)]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=_LONGEST_S, check=True, cwd=Path("/")
    )
    return ended.stdout.split()


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
