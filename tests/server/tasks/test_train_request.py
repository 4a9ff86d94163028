import json
import logging
import time
from pathlib import Path
from typing import get_args

import pytest

from zeus_app.errors import InputError
from zeus_app.pipeline.plugins import PLUGIN, learner_of
from zeus_app.server.jobs.train_progress import TrainProgress, read_progress
from zeus_app.server.tasks.train_request import log_ignored, train_config, train_defaults
from zeus_app.settings.config import Decoder, TrainConfig, ZeusConfig
from zeus_app.settings.recipes import RECIPES
from zeus_app.training.loop import Epoch


def test_what_stock_clients_call_otherwise_is_understood() -> None:
    config = train_config(
        {"max_epochs": 7, "early_stop_patience": 3, "val_split": 0.5, "train_batch_size": 4}, "sam"
    )
    assert (config.epochs, config.early_stop, config.validation_fraction) == (7, 3, 0.5)
    assert config.batch_slices == 4


def test_what_stock_clients_send_along_without_meaning_is_left_out() -> None:
    request = {"model": "zeus", "name": "train_01", "pretrained": True, "device": "cuda",
               "multi_gpu": True, "gpus": "all", "dataset": "CacheDataset", "client_id": None,
               "local_rank": 0, "val_batch_size": 1}  # fmt: skip
    assert train_config(request, "sam") == train_config({}, "sam")


def test_what_a_user_may_have_meant_is_said_to_be_ignored_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_ignored.cache_clear()
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            request = {"model": "zeus", "pretrained": True, "device": "cuda", "amp": None}
            train_config(request, "sam")
    assert [record.getMessage() for record in caplog.records] == [
        "training parameter pretrained is ignored: send start=served to continue from the served"
        " weights",
        "training parameter device is ignored: the server's device is used",
    ]


def test_the_page_lists_every_training_parameter_with_the_paper_s_value_and_its_meaning() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "training.md"
    first_section = page.read_text(encoding="utf-8").split("\n## ")[0]
    rows = [line for line in first_section.splitlines() if line[:3] == "| `"]
    assert rows == [
        f"| `{name}` | {shown_default(field.default)} | {field.description} |"
        for name, field in TrainConfig.model_fields.items()
    ]


def shown_default(value: object) -> str:
    return "none" if value in (None, "") else f"{value}".lower()


@pytest.mark.parametrize("learner", ["readout", "sam", "unet", PLUGIN])
def test_the_defaults_shown_to_clients_come_back_as_the_defaults(learner: str) -> None:
    shown, plain = train_defaults(learner), train_config({}, learner)
    assert train_config(shown, learner) == plain
    assert train_config({k: str(v) for k, v in shown.items()}, learner) == plain


def test_clients_are_shown_the_values_of_the_default_recipe() -> None:
    shown = train_defaults("sam")
    assert (shown["recipe"], shown["time_budget_s"], shown["batch_slices"]) == ("default", 300, 2)


def test_the_defaults_are_plain_json() -> None:
    values = [*train_defaults("sam").values(), *train_defaults(PLUGIN).values()]
    assert all(isinstance(value, bool | int | float | str) for value in values)


def test_another_recipe_in_a_whole_form_takes_effect_where_the_user_changed_nothing_else() -> None:
    form = {**train_defaults("sam"), "recipe": "paper"}
    assert train_config(form, "sam") == TrainConfig()
    changed = train_config({**form, "epochs": "7"}, "sam")
    assert (changed.epochs, changed.learning_rate, changed.time_budget_s) == (7, 1e-3, None)


def test_a_budget_of_zero_means_no_budget_under_every_recipe() -> None:
    assert train_config({"time_budget_s": 0}, "sam").time_budget_s is None


def test_zeus_learns_through_its_decoder_and_other_models_have_their_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert learner_of(ZeusConfig(model="unet")) == "unet"
    for decoder in get_args(Decoder):
        learner = learner_of(ZeusConfig(model="zeus", decoder=decoder))
        assert learner == ("both" if decoder == "auto" else decoder)
        assert learner in RECIPES["default"]
    monkeypatch.setenv("ZEUS_PLUGINS", "tests.server.fakes.fake_model")  # its model is named zeus
    assert learner_of(ZeusConfig(model="zeus")) == PLUGIN


def test_an_unknown_parameter_is_bad_input() -> None:
    with pytest.raises(InputError, match="did you mean 'learning_rate'") as caught:
        train_config({"learningrate": 1}, "sam")
    assert caught.value.status == 400


def line_of_epoch(path: Path, config: TrainConfig, epoch: Epoch) -> str:
    lines: list[str] = []
    TrainProgress(path, config, show=lines.append).epoch(epoch, 4, 4)
    return lines[0]


def test_an_epoch_is_one_line_with_loss_score_and_what_is_left(tmp_path: Path) -> None:
    config = TrainConfig(epochs=10)
    line = line_of_epoch(tmp_path / "t.json", config, Epoch(2, 0.25, 0.75, 1e-3, 20.0))
    # 2 epochs took 20 s, so 8 more take 80 s.
    assert line == ("Zeus: epoch 2/10, loss 0.2500, validation DSC 0.7500, at most 80 s left")


def test_a_time_budget_shortens_what_is_left(tmp_path: Path) -> None:
    config = TrainConfig(epochs=10, time_budget_s=50)
    line = line_of_epoch(tmp_path / "t.json", config, Epoch(2, 0.25, None, 1e-3, 20.0))
    assert line.endswith("validation DSC not measured, at most 30 s left")


def test_a_long_epoch_is_a_line_every_half_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    progress = TrainProgress(tmp_path / "t.json", TrainConfig(epochs=2), show=lines.append)
    for done in range(1, 10):  # a batch every ten seconds
        now_s += 10
        progress.epoch(Epoch(1, 0.25, None, 1e-3, 10.0 * done), done, 10)
    # Of 200 s, 30, 60 and 90 are over.
    assert lines == [
        "Zeus: epoch 1/2, 30% done, loss 0.2500, at most 170 s left",
        "Zeus: epoch 1/2, 60% done, loss 0.2500, at most 140 s left",
        "Zeus: epoch 1/2, 90% done, loss 0.2500, at most 110 s left",
    ]


def test_the_time_of_preparation_is_told_apart_from_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    path = tmp_path / "t.json"
    progress = TrainProgress(path, TrainConfig(epochs=2), show=lambda line: None)
    now_s = 110.0
    progress.stage("preparing studies", 0, 2)
    now_s = 135.0
    progress.stage("preparing studies", 2, 2)
    now_s = 155.0
    progress.epoch(Epoch(1, 0.25, None, 1e-3, 20.0), 4, 4)
    state = read_progress(path)
    assert state is not None
    # From 110 to 135; the training began after it.
    assert (state["prepare_seconds"], state["seconds"]) == (25, 20)


def test_the_file_for_rest_tells_the_same(tmp_path: Path) -> None:
    line_of_epoch(tmp_path / "t.json", TrainConfig(epochs=10), Epoch(2, 0.25, 0.75, 1e-3, 20.0))
    progress = read_progress(tmp_path / "t.json")
    assert progress is not None
    assert (progress["done"], progress["total"], progress["seconds_left"]) == (2, 10, 80)
    assert json.dumps(progress)
