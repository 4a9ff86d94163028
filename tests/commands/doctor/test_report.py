"""The whole report: text, JSON, privacy, and an installation that is half broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zeus_app.commands.doctor.report import as_json, as_text, examine, problems_of
from zeus_app.commands.doctor.sections import Section

TITLES = ["system", "Zeus", "packages", "weights", "encoder runtime", "state and disk", "port"]


def test_the_report_has_all_sections_and_names_no_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "doe_jane"
    (private / "weights" / "minilm-l6").mkdir(parents=True)
    monkeypatch.setenv("ZEUS_WEIGHTS", str(private / "weights"))
    sections = examine(state=private / "state", port=8765, modules=["json"])
    assert [section.title for section in sections] == TITLES
    text = as_text(sections) + as_json(sections)
    assert "<weights>" in text
    assert "doe_jane" not in text
    assert str(Path.home()) not in text


def test_problems_come_last_with_what_to_do() -> None:
    section = Section("weights", {"folder": "the default"})
    section.problem("minilm-l6 is missing", "run `make setup`")
    lines = as_text([Section("system", {"Python": "3.11.2"}), section]).splitlines()
    assert lines[-3:] == [
        "problem 1, weights: minilm-l6 is missing", "  what to do: run `make setup`", "1 problems",
    ]  # fmt: skip
    content = json.loads(as_json([section]))
    assert content["problems"] == problems_of([section]) == 1
    assert content["sections"][0]["problems"] == [
        {"what": "minilm-l6 is missing", "remedy": "run `make setup`"}
    ]


def test_without_problems_it_says_so() -> None:
    assert as_text([Section("system")]).splitlines()[-1] == "no problems found"


def test_it_works_when_half_of_the_installation_is_broken(tmp_path: Path) -> None:
    for name in ("numpy", "pydantic", "yaml", "typer", "rich"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is broken')")
    (tmp_path / "torch.py").write_text("import os; os.abort()")
    ended = subprocess.run(
        [sys.executable, "-m", "zeus_app.commands.doctor", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    found = {section["title"]: section for section in json.loads(ended.stdout)["sections"]}
    assert list(found) == TITLES
    whats = [problem["what"] for problem in found["packages"]["problems"]]
    assert "torch cannot be imported: it ends the process with SIGABRT" in whats
    assert "numpy cannot be imported: ImportError: numpy is broken" in whats
    assert "could not be checked" in found["weights"]["problems"][0]["what"]
    assert found["encoder runtime"]["problems"]
    assert found["system"]["facts"]["cores"]
