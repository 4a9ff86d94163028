"""The table of frozen towers: how each is loaded, counted without weights, and whether it was run.

A new tower is one entry in `TOWERS`, beside its class in `encoders/` or `instructions/`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn

from zeus_app.encoders import lite_medsam, sam, text
from zeus_app.encoders.biomedclip import BiomedClipText, BiomedClipVision
from zeus_app.encoders.blip2 import Blip2QueryEncoder
from zeus_app.encoders.cached import CachedImageEncoder, PooledVision
from zeus_app.encoders.clip import VIT_B16, ClipText, ClipVision
from zeus_app.encoders.lite_medsam import LiteMedSamEncoder
from zeus_app.encoders.medclip import MedClipText, MedClipVision
from zeus_app.encoders.sam import SamEncoder
from zeus_app.encoders.text import MiniLmEncoder
from zeus_app.errors import InputError
from zeus_app.instructions import loading, vision_chat
from zeus_app.instructions.endpoint import ChatEndpoint
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.vision_chat import VisionChat
from zeus_app.protocols import InstructionModel
from zeus_app.settings.config import EncoderRuntime
from zeus_app.settings.registry import lookup
from zeus_app.weights import WEIGHTS, locate


@dataclass(frozen=True)
class LoadContext:
    """What a tower may need beside its own entry in the profile.

    Attributes:
        device: where it runs.
        runtime: how an image encoder runs on a CPU; the setting `encoder_runtime`.
        images: the profile's image encoder, for the vision tower "pooled".
    """

    device: torch.device
    runtime: EncoderRuntime = "auto"
    images: CachedImageEncoder | None = None


class LazyModel(NamedTuple):
    """A language model that is not loaded yet."""

    id: str  # names weights and settings, for cache keys
    load: Callable[[], InstructionModel]


class Tower(NamedTuple):
    """One kind of frozen tower. Each function gets the tower's entry in the profile first.

    Attributes:
        load: (entry, context) -> the tower with its weights, behind the protocol of its role; a
            `LazyModel` for a language model, None for the vision tower "none".
        skeleton: entry -> the network on the meta device, which has shapes and no weights.
        decoder: entry -> SAM's pretrained prompt encoder and mask decoder. Image encoders alone.
        run_with: names of the published weights that this tower has been run with, by `make test`
            and `make demo`. Empty: never run with published weights, only with random ones in the
            published format.
    """

    load: Callable[[Any, LoadContext], Any]
    skeleton: Callable[[Any], nn.Module]
    decoder: Callable[[Any], tuple[PromptEncoder, MaskDecoder]] | None = None
    run_with: tuple[str, ...] = ()


def tower(role: str, kind: str) -> Tower:
    """The entry of a kind of tower.

    Args:
        role: "image encoder", "vision tower", "language model" or "text encoder".
        kind: as a profile names it.

    Raises:
        UnknownNameError: no such kind; the message lists the known ones.
    """
    return lookup(role, kind, TOWERS[role])


def run_before(role: str, entry: Any) -> bool | None:
    """Whether a tower was ever run with the published weights of a profile's entry.

    Returns:
        None for an entry without published weights: a file of the user's own, a server, no tower.
    """
    if entry.kind == "endpoint" or entry.weights not in WEIGHTS:
        return None
    return entry.weights in tower(role, entry.kind).run_with


def architecture_of(entry: Any, default: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The transformers configuration of an entry: its own, that of its weights, or the default.

    Raises:
        InputError: none of the three is there.
    """
    own: Mapping[str, Any] | None = getattr(entry, "architecture", None)
    registered = WEIGHTS[entry.weights].architecture if entry.weights in WEIGHTS else None
    architecture = own or registered or default
    if architecture is None:
        raise InputError(
            f"the architecture of {entry.weights!r} is not known",
            expected="weights of the registry, or `architecture` in the profile",
            remedy="copy the content of its config.json into the profile, for example"
            " `architecture: {model_type: qwen2, hidden_size: 896, ...}`",
        )
    return architecture


def _pooled(entry: Any, context: LoadContext) -> PooledVision:
    assert context.images is not None, "PooledVision needs the image encoder"
    return PooledVision(context.images)


def _blip2(entry: Any, context: LoadContext) -> Blip2QueryEncoder:
    if entry.grid:
        raise InputError(
            "vision tower blip2 with grid: true",
            expected="grid: false, because BLIP-2 always gives 32 features",
            remedy="remove the line `grid: true` from the profile's vision",
        )
    return Blip2QueryEncoder(locate(entry.weights), device=context.device)


def _causal(entry: Any, context: LoadContext) -> LazyModel:
    path = locate(entry.weights)
    settings: Any = {
        "device": context.device,
        "precision": entry.precision,
        "prompt_style": entry.prompt_style,
        "question_first": entry.question_first,
        "lora_rank": entry.lora_rank,
    }
    return LazyModel(FrozenLlm.id_of(path, **settings), lambda: FrozenLlm(path, **settings))


def _vision_chat(entry: Any, context: LoadContext) -> LazyModel:
    path = locate(entry.weights)
    settings: Any = {"device": context.device, "precision": entry.precision}
    return LazyModel(VisionChat.id_of(path, **settings), lambda: VisionChat(path, **settings))


def _endpoint(entry: Any, context: LoadContext) -> LazyModel:
    model, pictures = entry.weights, entry.send_pictures
    return LazyModel(
        ChatEndpoint.id_of(model, send_pictures=pictures),
        lambda: ChatEndpoint(entry.url, model, send_pictures=pictures),
    )


TOWERS: Mapping[str, Mapping[str, Tower]] = {
    "image encoder": {
        "lite_medsam": Tower(
            load=lambda entry, at: LiteMedSamEncoder(
                locate(entry.weights), device=at.device, runtime=at.runtime
            ),
            skeleton=lambda entry: lite_medsam.skeleton(),
            decoder=lambda entry: lite_medsam.load_prompt_encoder_and_decoder(
                locate(entry.weights)
            ),
            run_with=("lite-medsam",),
        ),
        "sam": Tower(
            load=lambda entry, at: SamEncoder(
                locate(entry.weights), device=at.device, runtime=at.runtime, size=entry.size
            ),
            skeleton=lambda entry: sam.skeleton(entry.size),
            decoder=lambda entry: sam.load_prompt_encoder_and_decoder(locate(entry.weights)),
        ),
        "medsam": Tower(
            load=lambda entry, at: SamEncoder(
                locate(entry.weights),
                device=at.device,
                runtime=at.runtime,
                size=entry.size,
                normalisation="medsam",
            ),
            skeleton=lambda entry: sam.skeleton(entry.size),
            decoder=lambda entry: sam.load_prompt_encoder_and_decoder(locate(entry.weights)),
        ),
    },
    "vision tower": {
        "none": Tower(load=lambda entry, at: None, skeleton=lambda entry: nn.Identity()),
        "pooled": Tower(
            load=_pooled,
            skeleton=lambda entry: nn.AdaptiveAvgPool2d(1),  # of the image encoder's embedding
        ),
        "medclip_swin": Tower(
            load=lambda entry, at: MedClipVision(
                locate(entry.weights), device=at.device, grid=entry.grid
            ),
            skeleton=lambda entry: MedClipVision.skeleton(backbone="swin", grid=entry.grid),
        ),
        "medclip_resnet": Tower(
            load=lambda entry, at: MedClipVision(
                locate(entry.weights), device=at.device, grid=entry.grid
            ),
            skeleton=lambda entry: MedClipVision.skeleton(backbone="resnet50", grid=entry.grid),
        ),
        "clip": Tower(
            load=lambda entry, at: ClipVision(
                locate(entry.weights), device=at.device, grid=entry.grid
            ),
            skeleton=lambda entry: ClipVision.skeleton(
                architecture_of(entry, VIT_B16), grid=entry.grid
            ),
        ),
        "biomedclip": Tower(
            load=lambda entry, at: BiomedClipVision(
                locate(entry.weights), device=at.device, grid=entry.grid
            ),
            skeleton=lambda entry: BiomedClipVision.skeleton(grid=entry.grid),
        ),
        "blip2": Tower(
            load=_blip2,
            skeleton=lambda entry: Blip2QueryEncoder.skeleton(architecture_of(entry)),
        ),
    },
    "language model": {
        "causal": Tower(
            load=_causal,
            skeleton=lambda entry: loading.skeleton(architecture_of(entry)),
            run_with=("smollm2-135m",),
        ),
        "vision_chat": Tower(
            load=_vision_chat,
            skeleton=lambda entry: vision_chat.skeleton(architecture_of(entry)),
        ),
        "endpoint": Tower(
            load=_endpoint,
            skeleton=lambda entry: nn.Identity(),  # runs elsewhere
        ),
    },
    "text encoder": {
        "minilm": Tower(
            load=lambda entry, at: MiniLmEncoder(locate(entry.weights), device=at.device),
            skeleton=lambda entry: text.skeleton(),
            run_with=("minilm-l6",),
        ),
        "medclip": Tower(
            load=lambda entry, at: MedClipText(locate(entry.weights), device=at.device),
            skeleton=lambda entry: MedClipText.skeleton(),
        ),
        "clip": Tower(
            load=lambda entry, at: ClipText(locate(entry.weights), device=at.device),
            skeleton=lambda entry: ClipText.skeleton(architecture_of(entry, VIT_B16)),
        ),
        "biomedclip": Tower(
            load=lambda entry, at: BiomedClipText(locate(entry.weights), device=at.device),
            skeleton=lambda entry: BiomedClipText.skeleton(),
        ),
    },
}
"""Role -> kind -> tower."""
