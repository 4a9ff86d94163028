"""The commands `zeus weights list`, `get` and `verify`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from zeus_app import weights
from zeus_app.commands import main as cli
from zeus_app.weights import WEIGHTS, Weight

runner = CliRunner()
WIDE = {"COLUMNS": "300"}


class Fetched:
    """A fake download that records the names and whether the licence was accepted."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.yes: list[bool] = []

    def get(self, name: str, report: object, *, accept_licence: bool) -> Path:
        self.names.append(name)
        self.yes.append(accept_licence)
        return Path("weights") / name


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Fetched:
    stand_in = Fetched()
    monkeypatch.setattr(weights, "get", stand_in.get)
    return stand_in


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))


def enter_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A weight on disk without a stated hash."""
    entry = {
        "name": "own",
        "role": "a test",
        "source": {"url": "http://localhost/own.bin"},
        "licence": {"name": "MIT", "summary": "free"},
        "files": ["own.bin"],
    }
    monkeypatch.setitem(WEIGHTS, "own", Weight.model_validate(entry))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.bin").write_bytes(b"parameters")


def test_get_without_a_name_fetches_the_weights_of_reference_small(fetched: Fetched) -> None:
    result = runner.invoke(cli.app, ["weights", "get"])
    assert result.exit_code == 0, result.output
    assert sorted(fetched.names) == ["lite-medsam", "minilm-l6", "smollm2-135m"]


def test_get_of_a_profile_fetches_its_weights_and_lists_the_manual_ones_last(
    fetched: Fetched,
) -> None:
    assert runner.invoke(cli.app, ["weights", "get", "paper"]).exit_code == 0
    assert fetched.names == ["sam-vit-b", "medclip-vit", "vicuna-rad-7b"]


def test_verify_of_a_profile_checks_its_weights() -> None:
    result = runner.invoke(cli.app, ["weights", "verify", "clip"])
    assert result.exit_code == 2
    assert "sam_vit_b_01ec64.pth is missing" in result.output


def test_a_missing_weight_that_forbids_commerce_is_marked() -> None:
    result = runner.invoke(cli.app, ["weights", "verify", "blip2-opt-2.7b"])
    assert "MIT and OPT's licence, non-commercial" in result.output


def test_a_non_commercial_licence_is_shown_and_refused_without_a_yes() -> None:
    result = runner.invoke(cli.app, ["weights", "get", "blip2-opt-2.7b"])
    assert result.exit_code == 2
    assert "for non-commercial research only" in result.output
    assert "zeus weights get blip2-opt-2.7b --accept-licence" in result.output


def test_accept_licence_shows_the_licence_and_fetches(fetched: Fetched) -> None:
    result = runner.invoke(cli.app, ["weights", "get", "blip2-opt-2.7b", "--accept-licence"])
    assert result.exit_code == 0
    assert "for non-commercial research only" in result.output
    assert fetched.yes == [True]


@pytest.mark.parametrize(("answer", "yes"), [("y\n", True), ("n\n", False)])
def test_on_a_terminal_the_user_is_asked_to_accept_the_licence(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch, answer: str, yes: bool
) -> None:
    monkeypatch.setattr("zeus_app.commands.weights.is_terminal", lambda: True)
    runner.invoke(cli.app, ["weights", "get", "llama-2-7b-chat"], input=answer)
    assert fetched.yes == [yes]


def test_the_steps_for_a_manual_weight_are_shown(tmp_path: Path) -> None:
    result = runner.invoke(cli.app, ["weights", "get", "vicuna-rad-7b"])
    assert result.exit_code == 2
    assert "https://github.com/mbzuai-oryx/XrayGPT" in result.output
    assert str(tmp_path / "vicuna-rad-7b") in result.output


def test_list_shows_source_size_licence_and_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_own(monkeypatch, tmp_path)
    assert runner.invoke(cli.app, ["weights", "verify", "own"]).exit_code == 0
    lines = runner.invoke(cli.app, ["weights", "list"], env=WIDE).output.splitlines()
    [sam] = [line for line in lines if "sam-vit-b " in line and "MedSAM" not in line]
    for part in ("dl.fbaipublicfiles.com", "375.0 MB", "Apache-2.0", "missing"):
        assert part in sam
    [line] = [line for line in lines if "│ own " in line]
    assert "there, hash recorded" in line


def test_verify_without_a_name_checks_the_weights_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_own(monkeypatch, tmp_path)
    result = runner.invoke(cli.app, ["weights", "verify"])
    assert result.exit_code == 0
    assert result.output.splitlines() == [f"own: hash right, {tmp_path}/own/own.bin"]


def test_verify_in_an_empty_folder_says_so(tmp_path: Path) -> None:
    result = runner.invoke(cli.app, ["weights", "verify"])
    assert result.exit_code == 0
    assert result.output == f"{tmp_path}: no weights here\n"
