"""`zeus doctor` on the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zeus_app.commands.doctor import report
from zeus_app.commands.doctor.sections import Section
from zeus_app.commands.main import app

runner = CliRunner()


def fake(monkeypatch: pytest.MonkeyPatch, *, has_problem: bool) -> list[dict[str, object]]:
    asked: list[dict[str, object]] = []

    def examine(**settings: object) -> list[Section]:
        asked.append(settings)
        section = Section("port", {"8000 on loopback": "free"})
        if has_problem:
            section.problem("port 8000 is taken", "PORT=8001")
        return [section]

    monkeypatch.setattr(report, "examine", examine)
    return asked


def test_without_problems_the_exit_code_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake(monkeypatch, has_problem=False)
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "no problems found" in result.stdout
    assert asked == [{"state": None, "port": 8000}]


def test_with_problems_the_exit_code_is_1_and_json_is_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fake(monkeypatch, has_problem=True)
    arguments = ["doctor", "--json", "--state", str(tmp_path), "--port", "8123"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"] == 1
    assert asked == [{"state": tmp_path, "port": 8123}]
