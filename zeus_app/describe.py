"""The paper's Table 1 for any settings: which modules, which of them learn, how big; no weights.

Every network is built on torch's meta device, where tensors have shapes and take no memory, through
the same functions that build the true one.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from zeus_app import build
from zeus_app.devices import choose_device
from zeus_app.encoders import lite_medsam, sam, text
from zeus_app.encoders.biomedclip import BiomedClipText, BiomedClipVision
from zeus_app.encoders.blip2 import Blip2QueryEncoder
from zeus_app.encoders.clip import VIT_B16, ClipText, ClipVision
from zeus_app.encoders.medclip import MedClipText, MedClipVision
from zeus_app.encoders.sam_parts import decoder_skeleton
from zeus_app.errors import InputError
from zeus_app.instructions import loading, vision_chat
from zeus_app.instructions.lora import attach
from zeus_app.instructions.precision import resolve
from zeus_app.models.net import ZeusNet
from zeus_app.profiles import LanguageTower, Profile
from zeus_app.profiles.fitting import refuse_embeddings_without_tokens
from zeus_app.protocols import ModuleInfo
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.registry import lookup
from zeus_app.targets import Target
from zeus_app.weights import WEIGHTS

META = torch.device("meta")

SKELETONS: Mapping[str, Mapping[str, Callable[[Any], nn.Module]]] = {
    "image encoder": {
        "lite_medsam": lambda tower: lite_medsam.skeleton(),
        "sam": lambda tower: sam.skeleton(tower.size),
        "medsam": lambda tower: sam.skeleton(tower.size),
    },
    "vision tower": {
        "none": lambda tower: nn.Identity(),
        "pooled": lambda tower: nn.AdaptiveAvgPool2d(1),  # of the image encoder's embedding
        "medclip_swin": lambda tower: MedClipVision.skeleton(backbone="swin", grid=tower.grid),
        "medclip_resnet": lambda tower: MedClipVision.skeleton(
            backbone="resnet50", grid=tower.grid
        ),
        "clip": lambda tower: ClipVision.skeleton(_architecture(tower, VIT_B16), grid=tower.grid),
        "biomedclip": lambda tower: BiomedClipVision.skeleton(grid=tower.grid),
        "blip2": lambda tower: Blip2QueryEncoder.skeleton(_architecture(tower)),
    },
    "language model": {
        "causal": lambda tower: loading.skeleton(_architecture(tower)),
        "vision_chat": lambda tower: vision_chat.skeleton(_architecture(tower)),
        "endpoint": lambda tower: nn.Identity(),  # runs elsewhere
    },
    "text encoder": {
        "minilm": lambda tower: text.skeleton(),
        "medclip": lambda tower: MedClipText.skeleton(),
        "clip": lambda tower: ClipText.skeleton(_architecture(tower, VIT_B16)),
        "biomedclip": lambda tower: BiomedClipText.skeleton(),
    },
}
"""Role -> kind -> the frozen tower without its numbers, made from the profile's entry.

A tower takes one line here, beside its line in `build.py`.
"""

BYTES_A_WEIGHT = {"8bit": 1.0, "4bit": 0.5 + 4 / 64}
"""In linear layers: LLM.int8's; NF4's half bytes with a float32 for each block of 64."""


def describe(config: ZeusConfig, profile: Profile, target: Target) -> list[ModuleInfo]:
    """The modules that these settings assemble, in the order of the paper's Table 1.

    Args:
        config: the settings; the LLM's device decides in which precision it is held.
        profile: the towers.
        target: what is segmented; late fusion has a decoder for each of its sequences.

    Raises:
        UnknownNameError: a model or a tower that is not known.
        InputError: settings that do not go together.
    """
    lookup("model", config.model, build.MODELS)
    if config.model in build.BASELINES:
        return build.BASELINES[config.model](config, target, META).describe()
    build.refuse_early_fusion(config)
    refuse_embeddings_without_tokens(config, profile)
    with META:
        net = build.trainable_net(config, profile, target=target, load_sam=decoder_skeleton)
    return [
        ModuleInfo.of("F_enc", "image encoder", _frozen("image encoder", profile.image_encoder)),
        ModuleInfo.of("F_v", "vision feature", _frozen("vision tower", profile.vision)),
        ModuleInfo.of("f_vt", "projection to the LLM", net.projector),
        *_language_model(profile.llm, choose_device(config.llm_device or config.device)),
        ModuleInfo.of("F_t", "text encoder", _frozen("text encoder", profile.text_encoder)),
        ModuleInfo.of("f_tt", "dimension aligner", net.aligner),
        *_decoders(net, config, target),
    ]


def _frozen(role: str, tower: Any) -> nn.Module:
    skeleton: nn.Module = lookup(role, tower.kind, SKELETONS[role])(tower)
    return skeleton.requires_grad_(False)


def _decoders(net: ZeusNet, config: ZeusConfig, target: Target) -> list[ModuleInfo]:
    names = ["mask decoder"]
    if config.fusion == "late":
        names = [f"mask decoder of {sequence}" for sequence in target.sequence_names]
    pairs = zip(names, net.decoders, strict=True)
    return [ModuleInfo.of("F_pred", name, decoder) for name, decoder in pairs]


def _language_model(tower: LanguageTower, device: torch.device) -> list[ModuleInfo]:
    """The LLM's row, and LoRA's where the profile asks for it."""
    llm = _frozen("language model", tower)
    precision = resolve(tower.precision, device)
    row = replace(ModuleInfo.of("F_LLM", "LLM", llm), memory_bytes=_held_bytes(llm, precision))
    if not tower.lora_rank:
        return [row]
    lora = attach(llm, rank=tower.lora_rank)
    return [row, ModuleInfo.of("LoRA", "low-rank matrices of the LLM", lora)]


def _held_bytes(llm: nn.Module, precision: str) -> int:
    """Bytes of an LLM's parameters; bitsandbytes quantises all linear layers but the last."""
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


def _architecture(tower: Any, default: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The configuration of transformers behind an entry: its own, or that of its weights."""
    own: Mapping[str, Any] | None = getattr(tower, "architecture", None)
    registered = WEIGHTS[tower.weights].architecture if tower.weights in WEIGHTS else None
    found = own or registered or default
    if found is None:
        raise InputError(
            f"the architecture of {tower.weights!r} is not known",
            expected="weights of the registry, or `architecture` in the profile",
            remedy="copy its config.json into the profile's entry",
        )
    return found
