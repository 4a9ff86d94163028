"""LLM4Seg: CMUNeXt with one frozen layer of an LLM at its bottleneck, and its controls.

Source: "Pre-Trained LLM is a Semantic-Aware and Generalizable Segmentation Booster", MICCAI 2025,
arXiv 2506.18034, and its published code (github.com/Mwxinnn/LLM4Seg). docs/llm4seg.md says what
differs from that code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from zeus_app.baselines.cmunext import PAPER, CmunextSize, network
from zeus_app.baselines.frozen_layer import (
    LlmLayer,
    empty_layer,
    folder_of_llm,
    random_layer,
    read_architecture,
    read_layer,
)
from zeus_app.baselines.network import BuildNetwork, Network
from zeus_app.errors import InputError
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.registry import lookup
from zeus_app.weights import WEIGHTS, is_path, locate

DEFAULT_LLM = "smollm2-135m"
PAPER_LAYERS: Mapping[str, int] = {
    "llama-3.2-1b-instruct": 14,
    "deepseek-r1-distill-qwen-1.5b": 27,
}
"""LLM -> index of the layer that the published code takes."""


@dataclass(frozen=True)
class LayerKind:
    """How the layer at the bottleneck starts, and whether it learns.

    Attributes:
        title: what stands at the bottleneck, in words.
        start: "pretrained", "random", or "" for no layer.
        frozen: whether the layer's parameters stay as they are.
    """

    title: str
    start: str
    frozen: bool


KINDS: Mapping[str, LayerKind] = {
    "frozen": LayerKind("a frozen layer of a pretrained LLM", "pretrained", frozen=True),
    "none": LayerKind("nothing: a plain CMUNeXt, also without the two linear layers", "", True),
    "random": LayerKind("a frozen layer of the same shape with random weights", "random", True),
    "trained": LayerKind("a layer of a pretrained LLM, trained further", "pretrained", False),
    "scratch": LayerKind("a layer of the same shape, trained from random weights", "random", False),
}


@dataclass(frozen=True)
class LayerChoice:
    """The layer at the bottleneck.

    Attributes:
        kind: a key of `KINDS`.
        llm: name of a weight, or path of a folder with config.json and safetensors.
        index: index of the layer, counted from 0. None: that of the published code for its two
            LLMs, else the last but one.
        seed: seed of random weights.
    """

    kind: str = "frozen"
    llm: str = DEFAULT_LLM
    index: int | None = None
    seed: int = 0

    def resolved(self) -> "LayerChoice":
        """The same choice with the index as a number.

        Raises:
            UnknownNameError: no kind or weight has this name.
            InputError: the LLM's config.json cannot be read.
        """
        lookup("kind of LLM layer", self.kind, KINDS)
        if self.kind == "none" or self.index is not None:
            return self
        layers = int(architecture_of(self.llm)["num_hidden_layers"])
        index = PAPER_LAYERS.get(self.llm, max(layers - 2, 0))
        return LayerChoice(self.kind, self.llm, index, self.seed)

    def describe(self) -> str:
        """For tables: "layer 28 of smollm2-135m, frozen"."""
        chosen = self.resolved()
        if chosen.kind == "none":
            return "no LLM layer"
        start = KINDS[chosen.kind].start
        seed = f" with seed {chosen.seed}" if start == "random" else ""
        return f"layer {chosen.index} of {chosen.llm}, {chosen.kind}{seed}"


class Bottleneck(nn.Module):
    """Linear(channels -> D), the LLM's layer, Linear(D -> channels), without a residual.

    The pixels of the feature are the tokens, row by row.
    """

    def __init__(self, channels: int, layer: LlmLayer) -> None:
        super().__init__()
        self.enter = nn.Linear(channels, layer.width)
        self.layer = layer
        self.leave = nn.Linear(layer.width, channels)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, channels, h, w)."""
        tokens = feature.flatten(2).transpose(1, 2)
        tokens = self.leave(self.layer(self.enter(tokens)))
        return cast(torch.Tensor, tokens.transpose(1, 2).reshape(feature.shape))


def build(
    in_channels: int,
    labels: int,
    choice: LayerChoice | None = None,
    *,
    size: CmunextSize = PAPER,
) -> Network:
    """LLM4Seg, or one of its controls.

    Args:
        in_channels: channels of the input.
        labels: channels of the logits.
        choice: the layer at the bottleneck; SmolLM2's frozen one unless given.
        size: size of the CMUNeXt.

    Raises:
        UnknownNameError: no kind or weight has this name.
        InputError: the weights are missing, or have no such layer.
    """
    return with_layer(in_channels, labels, llm_layer(choice or LayerChoice()), size)


def chooser(kind: str) -> Callable[[ZeusConfig], tuple[str, BuildNetwork]]:
    """What the registry asks for a network: settings -> its title and its builder.

    The networks of one builder share a frozen layer.
    """

    def choose(config: ZeusConfig) -> tuple[str, BuildNetwork]:
        choice = LayerChoice(kind, config.llm4seg_llm, config.llm4seg_layer, config.seed).resolved()
        frozen = cache(partial(llm_layer, choice))

        def build_chosen(in_channels: int, labels: int) -> Network:
            layer = frozen() if KINDS[kind].frozen else llm_layer(choice)
            return with_layer(in_channels, labels, layer)

        return f"LLM4Seg ({choice.describe()})", build_chosen

    return choose


def with_layer(
    in_channels: int, labels: int, layer: LlmLayer | None, size: CmunextSize = PAPER
) -> Network:
    """A CMUNeXt with an LLM's layer at its bottleneck; None for a plain one."""
    bottleneck = None if layer is None else Bottleneck(size.dims[-1], layer)
    return network(in_channels, labels, bottleneck=bottleneck, size=size)


def llm_layer(choice: LayerChoice) -> LlmLayer | None:
    """The layer of a choice; None for the kind "none". Raises as `build`.

    On torch's meta device it has shapes and no weights, and no file is read.
    """
    chosen = choice.resolved()
    kind, index = KINDS[chosen.kind], cast(int, chosen.index)
    if not kind.start:
        return None
    if torch.get_default_device().type == "meta":
        layer = empty_layer(architecture_of(chosen.llm), index)
    elif kind.start == "random":
        layer = random_layer(architecture_of(chosen.llm), index, seed=chosen.seed)
    else:
        layer = read_layer(locate(chosen.llm), index)
    return LlmLayer(layer, frozen=kind.frozen)


def architecture_of(llm: str) -> Mapping[str, Any]:
    """Contents of the config.json of an LLM; for the name of a weight, no file is needed.

    Raises:
        UnknownNameError: no weight has this name.
        InputError: the weight is no LLM, or its config.json cannot be read.
    """
    if is_path(llm):
        return read_architecture(folder_of_llm(Path(llm).expanduser()))
    architecture = lookup("weight", llm, WEIGHTS).architecture
    if not architecture or "num_hidden_layers" not in architecture:
        raise InputError(
            f"{llm}, which is no LLM",
            expected="an LLM of `zeus weights list`, or a folder with config.json and safetensors",
            remedy=f"name for example {DEFAULT_LLM}",
        )
    return architecture
