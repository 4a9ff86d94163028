import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zeus_app.commands import main as cli
from zeus_app.server.lifecycle import server_command as launch

runner = CliRunner()


def test_help_starts_quickly_because_nothing_heavy_is_imported() -> None:
    heavy = "{'torch', 'monai', 'pydantic'}"
    code = f"import sys, zeus_app.commands.main; print(sorted({heavy} & {{*sys.modules}}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    ["serve", "weights list", "weights get", "weights verify", "import-labels", "describe",
     "cache info", "cache clear", "runtime", "demo", "real"],
)  # fmt: skip
def test_every_command_explains_itself(command: str) -> None:
    result = runner.invoke(cli.app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_bad_input_gives_a_message_and_exit_code_2(tmp_path: Path) -> None:
    result = runner.invoke(cli.app, ["serve", str(tmp_path / "none"), "--target", "phantom"])
    assert result.exit_code == 2
    assert "does not exist" in result.output
    assert "Traceback" not in result.output


def test_serving_without_a_folder_says_how(tmp_path: Path) -> None:
    result = runner.invoke(cli.app, ["serve", "", "--target", "phantom"])
    assert result.exit_code == 2
    assert "make serve STUDIES=<dir> TARGET=<name>" in result.output


def test_an_unknown_target_is_refused_before_the_server_starts(tmp_path: Path) -> None:
    result = runner.invoke(cli.app, ["serve", str(tmp_path), "--target", "prostrate"])
    assert result.exit_code == 2
    assert "prostate" in result.output


def test_a_setting_without_a_value_is_refused(tmp_path: Path) -> None:
    arguments = ["serve", str(tmp_path), "--target", "phantom", "--set", "union"]
    result = runner.invoke(cli.app, arguments)
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.output


def test_serve_hands_its_options_to_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    (tmp_path / "apps" / "zeus").mkdir(parents=True)
    (tmp_path / "apps" / "zeus" / "main.py").write_text("")
    monkeypatch.setattr(launch, "CHECKOUT", tmp_path)
    monkeypatch.setattr(launch, "check_port", lambda host, port: None)
    monkeypatch.setattr(os, "execve", lambda path, command, env: started.append(command))
    arguments = ["serve", str(tmp_path), "--target", "phantom", "--fusion", "late"]
    result = runner.invoke(cli.app, [*arguments, "--port", "8123", "--set", "union=mean"])
    assert result.exit_code == 0, result.output
    [command] = started
    assert command[command.index("--studies") + 1] == str(tmp_path)
    assert command[command.index("--port") + 1] == "8123"
    confs = [command[i + 1 : i + 3] for i, word in enumerate(command) if word == "--conf"]
    assert confs == [["target", "phantom"], ["fusion", "late"], ["union", "mean"]]


def test_weights_that_are_not_there_are_listed_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    result = runner.invoke(cli.app, ["weights", "list"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "missing" in result.output
    assert "whole" not in result.output


def test_a_damaged_weight_is_named_with_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    (tmp_path / "lite-medsam").mkdir()
    (tmp_path / "lite-medsam" / "lite_medsam.pth").write_bytes(b"rot")
    result = runner.invoke(cli.app, ["weights", "verify", "lite-medsam"])
    assert result.exit_code == 2
    assert "zeus weights get lite-medsam" in result.output


def test_an_unknown_weight_is_answered_with_the_closest() -> None:
    result = runner.invoke(cli.app, ["weights", "verify", "lite-medsm"])
    assert result.exit_code == 2
    assert "lite-medsam" in result.output


@pytest.mark.parametrize("command", ["demo", "real"])
def test_a_sigterm_lets_what_drives_a_server_end_it(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    def drive(*_: object) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            ended.append("server")
        return 0

    monkeypatch.setattr(f"zeus_app.commands.{command}.run_{command}", drive)
    before = signal.getsignal(signal.SIGTERM)
    try:
        result = runner.invoke(cli.app, [command])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == ["server"]
    assert result.exit_code == 130
