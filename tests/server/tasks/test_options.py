"""Stock clients can show each option, and untouched options change nothing."""

from typing import Any

import pytest

from zeus_app.server.interactive.click_request import read_click_request
from zeus_app.server.tasks.chosen_sequences import read_sequences
from zeus_app.server.tasks.guidance import sent_texts
from zeus_app.server.tasks.options import chosen, click_options, segmentation_options
from zeus_app.server.tasks.parameters import SEGMENTATION, click_parameters, read_parameters
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target

BRAIN = load_target("brain_tumour")
CONFIG = ZeusConfig(target="brain_tumour")
OPTIONS = {
    "zeus": segmentation_options(CONFIG, BRAIN),
    "clicks": click_options(CONFIG, BRAIN, dimension=2),
    "clicks_3d": click_options(CONFIG, BRAIN, dimension=3),
}
SLICES = ["64", "0", "1", "2", "4", "8", "16", "32"]


def as_slicer_sends(options: dict[str, Any]) -> dict[str, Any]:
    """`getParamsFromConfig` of MONAI Label's module for 3D Slicer."""
    return {k: v[0] if isinstance(v, list) else v for k, v in options.items()}


def test_each_model_offers_what_has_a_meaning_for_it() -> None:
    sequences = ["all", "FLAIR", "T1Gd", "T1", "T2", "FLAIR, T1Gd", "FLAIR, T1", "FLAIR, T2",
                 "T1Gd, T1", "T1Gd, T2", "T1, T2"]  # fmt: skip
    segmentation = {"text": "", "sequences": sequences}
    assert OPTIONS["zeus"] == segmentation
    assert OPTIONS["clicks"] == {**segmentation, "overwrite": False}
    assert OPTIONS["clicks_3d"] == {**segmentation, "most_slices": SLICES, "overwrite": False}


@pytest.mark.parametrize(
    "config", [ZeusConfig(model="unet", fusion="late"), ZeusConfig(instruction="embedding")]
)
def test_a_model_that_reads_no_text_offers_none(config: ZeusConfig) -> None:
    assert "text" not in segmentation_options(config, BRAIN)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_slicer_and_ohif_can_show_and_send_every_option(options: dict[str, Any]) -> None:
    for value in options.values():
        assert isinstance(value, str | bool | list)
        assert not isinstance(value, list) or all(isinstance(entry, str) for entry in value)


@pytest.mark.parametrize("sent_by", [as_slicer_sends, dict])
def test_untouched_options_change_nothing(sent_by: Any) -> None:
    declared = click_parameters(BRAIN)
    click = {"label": "tumour", "foreground": [[1, 2, 3]]}
    sent = read_parameters({**click, **sent_by(OPTIONS["clicks_3d"])}, declared, task="inference")
    assert read_click_request(sent, BRAIN) == read_click_request(click, BRAIN)


@pytest.mark.parametrize("sent_by", [as_slicer_sends, dict])
def test_untouched_options_of_a_study_s_segmentation_give_no_guidance(sent_by: Any) -> None:
    sent = read_parameters(sent_by(OPTIONS["zeus"]), SEGMENTATION, task="inference")
    assert sent_texts(sent, BRAIN) == {}
    assert read_sequences(sent["sequences"], BRAIN) == ()


@pytest.mark.parametrize("sent", ["8", 8, ["8", "64", "0"]])
def test_the_chosen_reach_arrives_as_a_number(sent: object) -> None:
    declared = click_parameters(BRAIN)
    request = read_parameters({"most_slices": sent}, declared, task="inference")
    assert read_click_request(request, BRAIN).max_slices == 8


def test_of_a_list_the_first_entry_is_chosen() -> None:
    assert chosen(["b", "a"]) == "b"
    assert chosen("a") == "a"
    assert chosen([]) == []
