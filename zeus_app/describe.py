"""Table 1 of the paper for any settings: the modules, which of them are trained, and their sizes.

No weights are needed. Every network is built on torch's meta device, where a tensor has a shape and
takes no memory. `build.py` and `towers.py` give the constructors, so the counts are those of the
model that Zeus builds.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from zeus_app import build
from zeus_app.devices import choose_device
from zeus_app.encoders.sam_parts import decoder_skeleton
from zeus_app.instructions.lora import attach
from zeus_app.instructions.precision import resolve
from zeus_app.models.fusion import WeightedUnion
from zeus_app.models.net import ZeusNet
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
