"""LLM4Seg and its controls have one contract and differ in the layer at the bottleneck alone."""

from pathlib import Path

import pytest
import torch

from tests.instructions.tiny import byte_level_tokenizer, save, tiny_model
from zeus_app.baselines.cmunext import CmunextSize
from zeus_app.baselines.frozen_layer import LlmLayer, fingerprint
from zeus_app.baselines.llm4seg import (
    KINDS,
    LayerChoice,
    architecture_of,
    build,
    chooser,
    llm_layer,
)
from zeus_app.baselines.model import build as build_model
from zeus_app.baselines.network import Network
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target

SIZE = CmunextSize(dims=(2, 3, 4, 5, 6), depths=(1, 1, 1, 2, 1), kernels=(3, 3, 5, 5, 5))
LLM_PARAMETERS = 6 * 32 + 32 + 32 * 6 + 6
"""Of the two linear layers around an LLM layer of width 32, at a feature of 6 channels."""


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> str:
    tokenizer = byte_level_tokenizer()
    return str(save(tmp_path_factory.mktemp("llm"), tiny_model("llama", tokenizer), tokenizer))


def tiny(llm: str, kind: str, index: int | None = None) -> Network:
    torch.manual_seed(0)
    return build(1, 2, LayerChoice(kind, llm, index), size=SIZE)


def trained(net: Network) -> int:
    return sum(value.numel() for value in net.parameters() if value.requires_grad)


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_the_contract_of_a_network(llm: str, kind: str) -> None:
    net = tiny(llm, kind)
    logits = net(torch.rand(2, 1, 64, 64))
    assert logits.shape == (2, 2, 64, 64)
    assert net.feature_channels == SIZE.dims


@pytest.mark.parametrize("kind", KINDS)
def test_everything_but_the_frozen_layer_learns(llm: str, kind: str) -> None:
    net = tiny(llm, kind)
    net(torch.rand(2, 1, 64, 64)).square().mean().backward()
    without = {name for name, value in net.named_parameters() if value.grad is None}
    is_frozen = KINDS[kind].start and KINDS[kind].frozen
    assert all("bottleneck.layer.layer." in name for name in without)
    assert bool(without) is bool(is_frozen)


@pytest.mark.parametrize("kind", ["frozen", "random"])
def test_a_frozen_layer_adds_two_linear_layers_to_what_is_trained(llm: str, kind: str) -> None:
    assert trained(tiny(llm, kind)) - trained(tiny(llm, "none")) == LLM_PARAMETERS


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_network_answers_the_same_with_its_state_dict(llm: str, kind: str) -> None:
    first = tiny(llm, kind).eval()
    second = build(1, 2, LayerChoice(kind, llm), size=SIZE).eval()
    second.load_state_dict(first.state_dict())
    pixels = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(second(pixels), first(pixels))


def test_without_a_layer_no_llm_is_read() -> None:
    assert llm_layer(LayerChoice("none", "/no/such/folder")) is None


def test_the_layer_is_honoured(llm: str) -> None:
    first, second = tiny(llm, "frozen", 0), tiny(llm, "frozen", 1)
    assert first.state_dict()["decoder.bottleneck.layer.fingerprint"].tolist() != (
        second.state_dict()["decoder.bottleneck.layer.fingerprint"].tolist()
    )


def test_a_random_layer_needs_no_weights_of_a_known_llm() -> None:
    layer = llm_layer(LayerChoice("random", "smollm2-135m"))
    assert layer is not None
    assert layer.width == 576


@pytest.mark.parametrize(
    ("llm_name", "index", "width"),
    [
        ("llama-3.2-1b-instruct", 14, 2048),
        ("deepseek-r1-distill-qwen-1.5b", 27, 1536),
        ("smollm2-135m", 28, 576),
    ],
)
def test_the_default_layer_is_that_of_the_paper_or_the_last_but_one(
    llm_name: str, index: int, width: int
) -> None:
    assert LayerChoice(llm=llm_name).resolved().index == index
    assert architecture_of(llm_name)["hidden_size"] == width


def test_a_weight_that_is_no_llm_is_refused() -> None:
    with pytest.raises(InputError, match="is no LLM"):
        build(1, 1, LayerChoice(llm="lite-medsam"))


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="frozen, none, random, scratch, trained"):
        build(1, 1, LayerChoice("melted"))


@pytest.mark.parametrize(
    ("kind", "text"),
    [("none", "no LLM layer"), ("random", "layer 28 of smollm2-135m, random with seed 0")],
)
def test_a_choice_describes_itself(kind: str, text: str) -> None:
    assert LayerChoice(kind).describe() == text


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not describe an LLM"):
        build(1, 1, LayerChoice(llm=f"{tmp_path}/"))


def layer_of(net: Network) -> LlmLayer:
    return next(module for module in net.modules() if isinstance(module, LlmLayer))


def conf(llm: str, **settings: object) -> ZeusConfig:
    return ZeusConfig.from_conf({"llm4seg_llm": llm, **settings})


def test_the_settings_choose_llm_and_layer(llm: str) -> None:
    title, build_chosen = chooser("frozen")(conf(llm, llm4seg_layer="1"))
    assert title == f"LLM4Seg (layer 1 of {llm}, frozen)"
    expected = llm_layer(LayerChoice("frozen", llm, 1))
    layer = layer_of(build_chosen(1, 1))
    assert expected is not None
    assert torch.equal(fingerprint(layer), fingerprint(expected))


def test_networks_of_one_model_share_a_frozen_layer_and_no_trained_one(llm: str) -> None:
    for kind, is_shared in (("frozen", True), ("trained", False)):
        _, build_chosen = chooser(kind)(conf(llm))
        first, second = (layer_of(build_chosen(1, 1)) for _ in range(2))
        assert (first is second) is is_shared


def test_on_the_meta_device_no_weights_are_read() -> None:
    with torch.device("meta"):
        net = build(1, 1, LayerChoice("frozen", "llama-3.2-1b-instruct"))
    assert sum(p.numel() for p in net.parameters() if not p.requires_grad) == 60_821_504


def test_the_description_counts_the_frozen_layer_once_and_apart(llm: str) -> None:
    config = conf(llm, model="llm4seg", fusion="late")
    rows = build_model("llm4seg", config, load_target("prostate"), torch.device("cpu")).describe()
    assert [row.trainable for row in rows] == [True, True, True, False]
    assert rows[-1].parameters == sum(
        value.numel() for value in tiny(llm, "frozen").parameters() if not value.requires_grad
    )
