"""`zeus serve`: what it refuses, and the server that it starts."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zeus_app.commands.main import app
from zeus_app.server.lifecycle import server_command

runner = CliRunner()
PACS = "http://127.0.0.1:8042/dicom-web"


def test_serving_without_a_folder_says_how(tmp_path: Path) -> None:
    result = runner.invoke(app, ["serve", "", "--target", "phantom"])
    assert result.exit_code == 2
    assert "make serve STUDIES=<dir> TARGET=<name>" in result.output


def test_an_unknown_target_is_refused_before_the_server_starts(tmp_path: Path) -> None:
    result = runner.invoke(app, ["serve", str(tmp_path), "--target", "prostrate"])
    assert result.exit_code == 2
    assert "prostate" in result.output


def test_a_setting_without_a_value_is_refused(tmp_path: Path) -> None:
    arguments = ["serve", str(tmp_path), "--target", "phantom", "--set", "union"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.output


def test_options_become_settings_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    (tmp_path / "apps" / "zeus").mkdir(parents=True)
    (tmp_path / "apps" / "zeus" / "main.py").write_text("")
    monkeypatch.setattr(server_command, "CHECKOUT", tmp_path)
    monkeypatch.setattr(server_command, "check_port", lambda host, port: None)
    monkeypatch.setattr(os, "execve", lambda path, command, env: started.append(command))
    arguments = ["serve", str(tmp_path), "--target", "phantom", "--fusion", "late"]
    result = runner.invoke(app, [*arguments, "--port", "8123", "--set", "union=mean"])
    assert result.exit_code == 0, result.output
    [command] = started
    assert command[command.index("--studies") + 1] == str(tmp_path)
    assert command[command.index("--port") + 1] == "8123"
    confs = [command[i + 1 : i + 3] for i, word in enumerate(command) if word == "--conf"]
    assert confs == [["target", "phantom"], ["fusion", "late"], ["union", "mean"]]


def test_a_pacs_is_served_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(server_command, "check_port", lambda host, port: None)
    monkeypatch.setattr(os, "execve", lambda path, command, env: started.append(command))
    result = runner.invoke(app, ["serve", f"{PACS}/", "--target", "phantom"])
    assert result.exit_code == 0, result.output
    [command] = started
    assert command[command.index("--studies") + 1] == PACS


def test_the_targets_are_listed_with_the_address_of_a_pacs() -> None:
    result = runner.invoke(app, ["serve", PACS])
    assert result.exit_code == 2
    assert f"zeus serve {PACS} --target prostate" in result.output


def test_credentials_in_the_address_of_a_pacs_are_refused() -> None:
    address = "http://zeus:s3cret@127.0.0.1:8042/dicom-web"
    result = runner.invoke(app, ["serve", address, "--target", "phantom"])
    assert result.exit_code == 2
    assert "ZEUS_PACS_PASSWORD" in result.output
    assert "s3cret" not in result.output


@pytest.mark.parametrize("command", ["studies", "import-labels"])
def test_a_command_for_folders_says_that_a_pacs_is_none(command: str) -> None:
    result = runner.invoke(app, [command, PACS, "--target", "phantom"])
    assert result.exit_code == 2
    assert "is no folder" in result.output


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5"])
def test_other_machines_are_served_only_with_the_word_insecure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(server_command, "check_port", lambda host, port: None)
    monkeypatch.setattr(os, "execve", lambda path, command, env: started.append(command))
    arguments = ["serve", str(tmp_path), "--target", "phantom", "--host", host]
    refused = runner.invoke(app, arguments)
    assert refused.exit_code == 2
    assert "--insecure" in refused.output
    assert runner.invoke(app, [*arguments, "--insecure"]).exit_code == 0
    [command] = started
    assert command[command.index("insecure") + 1] == "true"
