"""`zeus weights` with an empty or damaged folder; tests/weights/test_commands.py has the rest."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from zeus_app.commands.main import app

runner = CliRunner()


def test_missing_weights_are_listed_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    result = runner.invoke(app, ["weights", "list"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "missing" in result.output
    assert "there, hash" not in result.output


def test_a_damaged_file_is_named_with_the_command_that_fetches_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    (tmp_path / "lite-medsam").mkdir()
    (tmp_path / "lite-medsam" / "lite_medsam.pth").write_bytes(b"rot")
    result = runner.invoke(app, ["weights", "verify", "lite-medsam"])
    assert result.exit_code == 2
    assert "zeus weights get lite-medsam" in result.output


def test_for_an_unknown_name_the_closest_one_is_suggested() -> None:
    result = runner.invoke(app, ["weights", "verify", "lite-medsm"])
    assert result.exit_code == 2
    assert "lite-medsam" in result.output
