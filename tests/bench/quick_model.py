"""A plugin that puts a network of a few weights in the place of every model of the suites.

It is fast, and marks nothing at first. Processes use it with ZEUS_PLUGINS=tests.bench.quick_model.
"""

import os

import torch
from torch import nn

from zeus_app.baselines.model import NetworkModel
from zeus_app.baselines.network import Network
from zeus_app.baselines.registry import NetworkEntry
from zeus_app.bench.suite import load_suite, suite_names
from zeus_app.errors import InputError
from zeus_app.pipeline.plugins import ModelPlugin
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder
from zeus_app.targets import target_of
from zeus_app.training.checkpoint import Checkpoints


class Pixels(nn.Module):
    """The pictures themselves as the only feature."""

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        return [pixels]


class OneWeightAPixel(nn.Module):
    def __init__(self, channels: int, labels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, labels, kernel_size=1)
        nn.init.constant_(self.layer.bias, -5.0)  # type: ignore[arg-type]

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        logits: torch.Tensor = self.layer(features[0])
        return logits


def build_network(channels: int, labels: int) -> Network:
    return Network(Pixels(), OneWeightAPixel(channels, labels), (channels,))


ENTRY = NetworkEntry(title="quick", source="tests", build=build_network, note="")


def build_segmenter(config: ZeusConfig, state: StateFolder) -> Segmenter:
    target, device = target_of(config), torch.device("cpu")
    torch.manual_seed(config.seed)
    return Segmenter(
        config=config,
        target=target,
        model=NetworkModel(ENTRY, target=target, fusion=config.fusion, device=device),
        checkpoints=Checkpoints(state.checkpoints),
        split_path=state.splits,
        cache_folder=state.cache,
        device=device,
    )


def refuse(config: ZeusConfig, state: StateFolder) -> Segmenter:
    raise InputError("weights that are missing", expected="weights", remedy="fetch them")


def crash(config: ZeusConfig, state: StateFolder) -> Segmenter:
    os.abort()


NAMES = {
    model.get("model", "zeus")
    for name in suite_names()
    for part in load_suite(name).parts
    for model in part.models
}
MODELS = {
    **{name: ModelPlugin(segmenter=build_segmenter) for name in {*NAMES, "quick"}},
    "refused": ModelPlugin(segmenter=refuse),
    "crashing": ModelPlugin(segmenter=crash),
}
