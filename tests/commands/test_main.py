"""The program `zeus` as a whole: its help, its errors, and how it is stopped."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zeus_app.commands.main import app

runner = CliRunner()


def test_help_starts_quickly_because_nothing_heavy_is_imported() -> None:
    heavy = "{'torch', 'monai', 'pydantic', 'numpy', 'monailabel'}"
    code = f"import sys, zeus_app.commands.main; print(sorted({heavy} & {{*sys.modules}}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    ["serve", "studies", "weights list", "weights get", "weights verify", "import-labels",
     "describe", "cache info", "cache clear", "runtime", "doctor", "demo", "real",
     "evaluate", "export", "segment", "train"],
)  # fmt: skip
def test_every_command_explains_itself(command: str) -> None:
    result = runner.invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_bad_input_gives_a_message_and_exit_code_2(tmp_path: Path) -> None:
    result = runner.invoke(app, ["serve", str(tmp_path / "none"), "--target", "phantom"])
    assert result.exit_code == 2
    assert "does not exist" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["demo", "real"])
def test_after_a_sigterm_a_command_that_started_a_server_ends_it(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    def run_server(*_: object) -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            ended.append("server")
        return 0

    monkeypatch.setattr(f"zeus_app.commands.{command}.run.run_{command}", run_server)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        result = runner.invoke(app, [command])
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert ended == ["server"]
    assert result.exit_code == 130
