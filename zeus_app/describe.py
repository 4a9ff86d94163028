"""Table 1 of the paper for any settings: the modules, which of them are trained, and their sizes.

No weights are needed. Every network is built on torch's meta device, where a tensor has a shape and
takes no memory. `build.py` and `towers.py` give the constructors, so the counts are those of the
model that Zeus builds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from zeus_app import build
from zeus_app.baselines.fusion import FUSIONS
from zeus_app.baselines.registry import NETWORKS, PaperCounts
from zeus_app.devices import choose_device
from zeus_app.encoders.sam_parts import decoder_skeleton
from zeus_app.instructions.lora import attach
from zeus_app.instructions.precision import resolve
from zeus_app.models.fusion import WeightedUnion
from zeus_app.models.net import ZeusNet
from zeus_app.pipeline.plugins import plugin_models
from zeus_app.profiles import LanguageModelConfig, Profile
from zeus_app.profiles.fitting import (
    refuse_early_fusion,
    refuse_embeddings_without_tokens,
    refuse_features_without_read_out,
)
from zeus_app.protocols import ModuleInfo
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.registry import lookup
from zeus_app.targets import Target
from zeus_app.towers import run_before, tower

META = torch.device("meta")

BYTES_A_WEIGHT = {"8bit": 1.0, "4bit": 0.5 + 4 / 64}
"""Bytes of a weight in a linear layer: LLM.int8; NF4, with one float32 for each block of 64."""

PAPER = PaperCounts(hybrid=8.06, late=12.44)
"""Zeus in the paper's Table 2."""
ZEUS_DECODERS = {
    "readout": "a small read-out of compressed embeddings instead of SAM's mask decoder",
    "sam": "SAM's mask decoder, as in the paper; f_vt and f_tt are as wide as the towers ask",
}
"""Decoder -> how it differs from the paper. The second look of `both` trains nothing."""


@dataclass(frozen=True)
class ModelSize:
    """What a model trains, in each fusion.

    Attributes:
        model: value of the setting `model`.
        title: its name in tables.
        trained: fusion -> trained parameters; empty for a plugin, which is not built to be counted.
        paper: millions of parameters in the paper's Table 2; None if the paper has no such model.
        note: why the numbers differ.
    """

    model: str
    title: str
    trained: Mapping[str, int]
    paper: PaperCounts | None
    note: str


def model_sizes(config: ZeusConfig, profile: Profile, target: Target) -> list[ModelSize]:
    """All models that a server can be started with: Zeus, the networks, and the plugins.

    Args:
        config: the settings that all models share.
        profile: Zeus's towers.
        target: the sequences and labels.
    """

    def trained(**model: str) -> dict[str, int]:
        fusions = [name for name in FUSIONS if (model["model"], name) != ("zeus", "early")]
        return {fusion: count({**model, "fusion": fusion, "union": "auto"}) for fusion in fusions}

    def count(changes: Mapping[str, str]) -> int:
        rows = describe(config.model_copy(update=changes), profile, target)
        return sum(row.parameters for row in rows if row.trainable)

    zeus = [
        ModelSize("zeus", f"Zeus, decoder {name}", trained(model="zeus", decoder=name), PAPER, note)
        for name, note in ZEUS_DECODERS.items()
    ]
    networks = [
        ModelSize(name, entry.title, trained(model=name), entry.paper, entry.note)
        for name, entry in NETWORKS.items()
    ]
    plugins = [ModelSize(name, name, {}, None, "from a plugin") for name in plugin_models()]
    return [*zeus, *networks, *plugins]


def size_cells(size: ModelSize) -> list[str]:
    """Millions of parameters as text: early, hybrid and late, then the same of the paper."""
    own = [size.trained.get(fusion) for fusion in FUSIONS]
    paper = [getattr(size.paper, fusion, None) for fusion in FUSIONS]
    millions = [None if count is None else count / 1e6 for count in own] + paper
    return ["–" if number is None else f"{number:.2f}" for number in millions]


def describe(config: ZeusConfig, profile: Profile, target: Target) -> list[ModuleInfo]:
    """The modules that these settings assemble, in the order of the paper's Table 1.

    Args:
        config: the settings. The LLM's device decides the precision "auto".
        profile: the towers.
        target: late fusion has one decoder for each of its sequences.

    Raises:
        UnknownNameError: the model or a tower is unknown.
        InputError: the settings contradict each other or the profile.
    """
    lookup("model", config.model, build.MODELS)
    if config.model in build.BASELINES:
        return build.BASELINES[config.model](config, target, META).describe()
    refuse_early_fusion(config)
    refuse_features_without_read_out(config)
    refuse_embeddings_without_tokens(config, profile)
    with META:
        net = build.trainable_net(config, profile, target=target, load_sam=decoder_skeleton)
    return [
        _frozen("F_enc", "image encoder", "image encoder", profile.image_encoder),
        _frozen("F_v", "vision feature", "vision tower", profile.vision),
        ModuleInfo.of("f_vt", "projection to the LLM", net.projector),
        *_language_model(profile.llm, choose_device(config.llm_device or config.device)),
        _frozen("F_t", "text encoder", "text encoder", profile.text_encoder),
        ModuleInfo.of("f_tt", "dimension aligner", net.aligner),
        *_decoders(net, config, target),
    ]


def _frozen(symbol: str, name: str, role: str, entry: Any) -> ModuleInfo:
    row = ModuleInfo.of(symbol, name, _skeleton(role, entry))
    return replace(row, run_before=run_before(role, entry))


def _skeleton(role: str, entry: Any) -> nn.Module:
    return tower(role, entry.kind).skeleton(entry).requires_grad_(False)


def _decoders(net: ZeusNet, config: ZeusConfig, target: Target) -> list[ModuleInfo]:
    names = ["mask decoder"]
    if config.fusion == "late":
        names = [f"mask decoder of {sequence}" for sequence in target.sequence_names]
    modules = zip(names, net.decoders, strict=True)
    rows = [ModuleInfo.of("F_pred", name, decoder) for name, decoder in modules]
    if isinstance(net.union, WeightedUnion):
        rows.append(ModuleInfo.of("F_pred", "weights of the union", net.union))
    return rows


def _language_model(entry: LanguageModelConfig, device: torch.device) -> list[ModuleInfo]:
    """The row of the LLM, and one of LoRA if the profile has a rank for it."""
    llm = _skeleton("language model", entry)
    row = replace(
        ModuleInfo.of("F_LLM", "LLM", llm),
        memory_bytes=_held_bytes(llm, resolve(entry.precision, device)),
        run_before=run_before("language model", entry),
    )
    if not entry.lora_rank:
        return [row]
    lora = attach(llm, rank=entry.lora_rank)
    return [row, ModuleInfo.of("LoRA", "low-rank matrices of the LLM", lora)]


def _held_bytes(llm: nn.Module, precision: str) -> int:
    """Bytes of an LLM's parameters. bitsandbytes quantises all linear layers except the last."""
    if precision not in BYTES_A_WEIGHT:
        itemsize = getattr(torch, precision).itemsize
        return sum(parameter.numel() for parameter in llm.parameters()) * int(itemsize)
    quantised = sum(
        module.weight.numel()
        for name, module in llm.named_modules()
        if isinstance(module, nn.Linear) and not name.endswith("lm_head")
    )
    rest = sum(parameter.numel() for parameter in llm.parameters()) - quantised
    return int(quantised * BYTES_A_WEIGHT[precision]) + rest * torch.bfloat16.itemsize
