"""Models from modules that the operator names in ZEUS_PLUGINS."""

import sys
from pathlib import Path

import pytest

from tests.server.fakes.fake_model import FakeClicks, FakeSegmenter
from zeus_app.build import build_clicks, build_segmenter
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.pipeline.plugins import plugin_models
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder, state_folder

PLUGIN = """
from tests.server.fakes.fake_model import build_segmenter
from zeus_app.pipeline.plugins import ModelPlugin
MODELS = {"fast": ModelPlugin(segmenter=build_segmenter)}
"""


def state(config: ZeusConfig, folder: Path) -> StateFolder:
    return state_folder(config, target="phantom", studies=folder)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules Python imports."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_without_the_variable_there_are_no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZEUS_PLUGINS", raising=False)
    assert plugin_models() == {}


def test_a_plugin_brings_a_model_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "plugin_of_a_lab.py").write_text(PLUGIN)
    monkeypatch.setenv("ZEUS_PLUGINS", "plugin_of_a_lab")
    config = ZeusConfig(model="fast", state=folder / "state")
    assert isinstance(build_segmenter(config, state(config, folder)), FakeSegmenter)


def test_a_plugin_replaces_zeus_and_its_clicks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_PLUGINS", "tests.server.fakes.fake_model")
    config = ZeusConfig(state=tmp_path)
    assert isinstance(build_segmenter(config, state(config, tmp_path)), FakeSegmenter)
    assert isinstance(build_clicks(config, state(config, tmp_path)), FakeClicks)


def test_several_modules_are_separated_by_commas(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "plugin_of_two.py").write_text(PLUGIN)
    monkeypatch.setenv("ZEUS_PLUGINS", "plugin_of_two, tests.server.fakes.fake_model,")
    assert plugin_models().keys() == {"fast", "zeus"}


def test_an_unknown_model_is_refused_with_the_plugins_models_among_the_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "plugin_with_fast.py").write_text(PLUGIN)
    monkeypatch.setenv("ZEUS_PLUGINS", "plugin_with_fast")
    config = ZeusConfig(model="fats", state=folder / "state")
    with pytest.raises(UnknownNameError, match=r"unknown model 'fats'(.|\n)*fast, (.*, )?unet, "):
        build_segmenter(config, state(config, folder))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"which cannot be imported: No module named 'plugin_in_question'"),
        ("def broken(:", r"which cannot be imported"),
        ("", r"which has no MODELS of ModelPlugin values"),
        ("MODELS = {'fast': print}", r"which has no MODELS of ModelPlugin values"),
    ],
)
def test_a_module_that_is_no_plugin_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, problem: str
) -> None:
    if content is not None:
        (folder / "plugin_in_question.py").write_text(content)
    monkeypatch.setenv("ZEUS_PLUGINS", "plugin_in_question")
    monkeypatch.delitem(sys.modules, "plugin_in_question", raising=False)
    with pytest.raises(InputError, match=f"ZEUS_PLUGINS names the module .*{problem}"):
        plugin_models()


def test_a_relative_module_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEUS_PLUGINS", ".models")
    with pytest.raises(InputError, match=r"ZEUS_PLUGINS names the module '\.models'"):
        plugin_models()


def test_no_setting_of_a_command_line_or_request_names_a_module() -> None:
    with pytest.raises(UnknownNameError):
        ZeusConfig.from_conf({"plugins": "tests.server.fakes.fake_model"})
    with pytest.raises(UnknownNameError):
        ZeusConfig.from_conf({"ZEUS_PLUGINS": "tests.server.fakes.fake_model"})
