"""From a config to an assembled segmenter: the one place that assembles, through registries."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn

from zeus_app.baselines import unet
from zeus_app.devices import batch_size, choose_device
from zeus_app.encoders import lite_medsam, sam
from zeus_app.encoders.biomedclip import BiomedClipText, BiomedClipVision
from zeus_app.encoders.blip2 import Blip2QueryEncoder
from zeus_app.encoders.cached import (
    CachedImageEncoder,
    CachedTextEncoder,
    CachedVisionEncoder,
    PooledVision,
)
from zeus_app.encoders.clip import ClipText, ClipVision
from zeus_app.encoders.lite_medsam import LiteMedSamEncoder
from zeus_app.encoders.medclip import MedClipText, MedClipVision
from zeus_app.encoders.sam import SamEncoder
from zeus_app.encoders.text import MiniLmEncoder
from zeus_app.errors import InputError
from zeus_app.instructions.endpoint import ChatEndpoint
from zeus_app.instructions.generate import InstructionGenerator
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.templates import paper_prompt
from zeus_app.instructions.vision_chat import VisionChat
from zeus_app.models.aligner import BothAligner, EmbeddingAligner, TextAligner
from zeus_app.models.mask_decoder import InstructedMaskDecoder
from zeus_app.models.net import SHARED, ZeusNet
from zeus_app.models.projector import FixedProjector, VisionProjector
from zeus_app.models.qformer import QFormerProjector
from zeus_app.pipeline.instructor import Instructor, check_scope
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.pipeline.zeus import Zeus
from zeus_app.profiles import LanguageTower, Profile, load_profile, weights_of
from zeus_app.profiles.fitting import check_width, refuse_embeddings_without_tokens
from zeus_app.prompts.decoder import StockDecoder
from zeus_app.prompts.propagation import ClickSegmenter
from zeus_app.protocols import (
    Baseline,
    ImageEncoder,
    InstructionModel,
    Model,
    TextEncoder,
    VisionEncoder,
)
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.registry import lookup
from zeus_app.storage.cache import Cache
from zeus_app.storage.state import StateFolder
from zeus_app.targets import Target, target_of
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.weights import check_present, locate


class ImageKind(NamedTuple):
    """How one family of image encoders is loaded, and the mask decoder that belongs to it."""

    encoder: Callable[..., ImageEncoder]  # (path, *, device, runtime, size)
    decoder_start: Callable[[Path], tuple[PromptEncoder, MaskDecoder]]


def _lite_medsam(weights: Path, *, size: str = "", **settings: Any) -> LiteMedSamEncoder:
    return LiteMedSamEncoder(weights, **settings)  # there is one size of it


IMAGE_ENCODERS: Mapping[str, ImageKind] = {
    "lite_medsam": ImageKind(_lite_medsam, lite_medsam.load_prompt_encoder_and_decoder),
    "sam": ImageKind(SamEncoder, sam.load_prompt_encoder_and_decoder),
    "medsam": ImageKind(
        partial(SamEncoder, normalisation="medsam"), sam.load_prompt_encoder_and_decoder
    ),
}
VISION_TOWERS: Mapping[str, Callable[..., VisionEncoder]] = {
    "medclip_swin": MedClipVision,
    "medclip_resnet": MedClipVision,
    "clip": ClipVision,
    "biomedclip": BiomedClipVision,
    "blip2": Blip2QueryEncoder,
}
TEXT_ENCODERS: Mapping[str, Callable[..., TextEncoder]] = {
    "minilm": MiniLmEncoder,
    "medclip": MedClipText,
    "clip": ClipText,
    "biomedclip": BiomedClipText,
}
PROJECTORS: Mapping[str, Callable[[Profile], nn.Module]] = {
    "mlp": lambda p: VisionProjector(p.vision.dim, p.llm.hidden, hidden_dim=p.vision.hidden),
    "qformer": lambda p: QFormerProjector(p.vision.dim, p.llm.hidden),
    "fixed": lambda p: FixedProjector(p.vision.dim, p.llm.hidden),
    "none": lambda p: nn.Identity(),
}
ALIGNERS: Mapping[str, Callable[[Profile], nn.Module]] = {
    "text": lambda p: TextAligner(p.text_encoder.dim),
    "embedding": lambda p: EmbeddingAligner(p.llm.hidden),
    "both": lambda p: BothAligner(p.text_encoder.dim, p.llm.hidden),
}


def build_segmenter(config: ZeusConfig, state: StateFolder) -> Segmenter:
    """Assemble what `config` names, with its state in `state`.

    Raises:
        UnknownNameError: a target, profile, model or tower that is not known.
        InputError: weights are missing or wrong, or the parts do not go together.
    """
    torch.manual_seed(config.seed)
    target = target_of(config)
    device = choose_device(config.device)
    model = lookup("model", config.model, MODELS)(config, target, device, state)
    return Segmenter(
        config=config,
        target=target,
        model=model,
        checkpoints=Checkpoints(state.checkpoints),
        split_path=state.splits,
        keep_folder=state.cache,
        device=device,
    )


def refuse_early_fusion(config: ZeusConfig) -> None:
    """Zeus has no early fusion.

    Raises:
        InputError: the config asks for it.
    """
    if config.fusion == "early":
        raise InputError(
            "model zeus with fusion early",
            expected="hybrid or late: each sequence has an instruction of its own, and channels"
            " merged before the encoder leave nothing to instruct",
            remedy="set fusion to hybrid or late",
        )


def build_zeus(
    config: ZeusConfig, target: Target, device: torch.device, state: StateFolder
) -> Zeus:
    """Zeus with the towers of the config's profile."""
    profile = load_profile(config.profile)
    refuse_early_fusion(config)
    refuse_embeddings_without_tokens(config, profile)
    scope = chosen_scope(config, profile, device)
    check_scope(scope, config.instruction)
    check_present(weights_of(profile), how=f"zeus weights get {config.profile}")
    cache = Cache(state.cache, size_limit_bytes=int(config.cache_gib * (1 << 30)))
    images = _images(config, profile, device, cache)
    text_tower = lookup("text encoder", profile.text_encoder.kind, TEXT_ENCODERS)
    text_encoder = text_tower(locate(profile.text_encoder.weights), device=device)
    stated = profile.text_encoder.dim
    check_width(profile, "text_encoder.dim", stated=stated, found=text_encoder.dim)
    vision = _vision(profile, images, device, cache)
    writer = _writer(config, profile, device, cache)
    lora = _lora(profile.llm, writer)
    # Anew, lest f_vt depend on what was drawn while loading: texts are kept by what it makes.
    torch.manual_seed(config.seed)
    net = trainable_net(
        config, profile, target=target, load_sam=partial(sam_parts, profile), lora=lora
    )
    if config.compile:
        for decoder in net.decoders:
            decoder.compile()  # in place, so that parameters keep their names
    return Zeus(
        branches=target.sequence_names,
        net=net,
        images=images,
        instructor=Instructor(
            target=target,
            texts=CachedTextEncoder(text_encoder, cache),
            vision=vision,
            writer=writer,
            prompt=paper_prompt,
            scope=scope,
        ),
        mode=config.instruction,
        device=device,
    )


def chosen_scope(config: ZeusConfig, profile: Profile, device: torch.device) -> str:
    """Which slices get an instruction: as the settings say, else the profile, else the device."""
    said = [scope for scope in (config.scope, profile.scope) if scope != "auto"]
    return said[0] if said else "series" if device.type == "cpu" else "all"


def build_images(config: ZeusConfig, state: StateFolder) -> CachedImageEncoder:
    """The profile's image encoder alone, behind the cache that all of Zeus shares."""
    cache = Cache(state.cache, size_limit_bytes=int(config.cache_gib * (1 << 30)))
    return _images(config, load_profile(config.profile), choose_device(config.device), cache)


def build_clicks(
    config: ZeusConfig, state: StateFolder, *, beside: Segmenter | None = None
) -> ClickSegmenter:
    """What answers clicks: the profile's image encoder with SAM's own decoder, untrained.

    Args:
        config: names the profile.
        state: where embeddings are kept.
        beside: a segmenter of the same config, whose encoder answers for both if it has one.
    """
    profile = load_profile(config.profile)
    shared = beside.model.images if beside and isinstance(beside.model, Zeus) else None
    return ClickSegmenter(
        images=shared or build_images(config, state),
        decoder=StockDecoder(*sam_parts(profile)),
        threshold=config.threshold,
        device=choose_device(config.device),
    )


def image_encoder(config: ZeusConfig, profile: Profile, device: torch.device) -> ImageEncoder:
    """F_enc, run as the settings ask."""
    tower = lookup("image encoder", profile.image_encoder.kind, IMAGE_ENCODERS)
    weights = locate(profile.image_encoder.weights)
    size = profile.image_encoder.size
    return tower.encoder(weights, device=device, runtime=config.encoder_runtime, size=size)


def _images(
    config: ZeusConfig, profile: Profile, device: torch.device, cache: Cache
) -> CachedImageEncoder:
    encoder = image_encoder(config, profile, device)
    batch = batch_size(config.batch_slices, device, gpu=8, cpu=1)
    return CachedImageEncoder(encoder, cache, batch=batch)


def sam_parts(profile: Profile) -> tuple[PromptEncoder, MaskDecoder]:
    """The pretrained prompt encoder and mask decoder that belong to a profile's image encoder."""
    tower = lookup("image encoder", profile.image_encoder.kind, IMAGE_ENCODERS)
    return tower.decoder_start(locate(profile.image_encoder.weights))


def trainable_net(
    config: ZeusConfig,
    profile: Profile,
    *,
    target: Target,
    load_sam: Callable[[], tuple[PromptEncoder, MaskDecoder]],
    lora: nn.Module | None = None,
) -> ZeusNet:
    """f_vt, f_tt and F_pred as the settings ask; each decoder begins as a copy of SAM's."""
    projector = lookup("projection", profile.vision.projection, PROJECTORS)(profile)
    aligner = lookup("instruction", config.instruction, ALIGNERS)(profile)
    prompts, decoder = load_sam()
    names = (SHARED,) if config.fusion == "hybrid" else target.sequence_names
    decoders = {name: InstructedMaskDecoder(decoder, prompts) for name in names}
    return ZeusNet(projector, aligner, decoders, lora)


def _vision(
    profile: Profile, images: CachedImageEncoder, device: torch.device, cache: Cache
) -> PooledVision | CachedVisionEncoder | None:
    tower = profile.vision
    if tower.kind == "none":
        return None
    if tower.kind == "pooled":
        check_width(profile, "vision.dim", stated=tower.dim, found=PooledVision.dim)
        return PooledVision(images)
    settings = {"grid": True} if tower.grid else {}
    encoder = lookup("vision tower", tower.kind, VISION_TOWERS)(
        locate(tower.weights), device=device, **settings
    )
    check_width(profile, "vision.dim", stated=tower.dim, found=encoder.dim)
    return CachedVisionEncoder(encoder, cache)


def _writer(
    config: ZeusConfig, profile: Profile, device: torch.device, cache: Cache
) -> InstructionGenerator:
    tower = profile.llm
    where = choose_device(config.llm_device) if config.llm_device else device
    model_id, load = lookup("language model", tower.kind, WRITERS)(profile, where)
    writer = InstructionGenerator(
        model_id=model_id,
        load=load,
        store=cache,
        max_tokens=config.instruction_tokens,
        sees_pictures=tower.kind == "vision_chat" or tower.send_pictures,
        # Two servers may call different models alike.
        kept_by=lambda: (
            cast(FrozenLlm, writer.model).fingerprint() if tower.lora_rank else tower.url
        ),
    )
    return writer


def _causal(profile: Profile, device: torch.device) -> tuple[str, Callable[[], FrozenLlm]]:
    tower = profile.llm
    path = locate(tower.weights)
    settings: Any = {
        "device": device,
        "precision": tower.precision,
        "prompt_style": tower.prompt_style,
        "question_first": tower.question_first,
        "lora_rank": tower.lora_rank,
    }

    def load() -> FrozenLlm:
        llm = FrozenLlm(path, **settings)
        check_width(profile, "llm.hidden", stated=tower.hidden, found=llm.hidden)
        return llm

    return FrozenLlm.id_of(path, **settings), load


def _vision_chat(profile: Profile, device: torch.device) -> tuple[str, Callable[[], VisionChat]]:
    path = locate(profile.llm.weights)
    settings: Any = {"device": device, "precision": profile.llm.precision}
    return VisionChat.id_of(path, **settings), partial(VisionChat, path, **settings)


def _endpoint(profile: Profile, device: torch.device) -> tuple[str, Callable[[], ChatEndpoint]]:
    tower, pictures = profile.llm, profile.llm.send_pictures
    load = partial(ChatEndpoint, tower.url, tower.weights, send_pictures=pictures)
    return ChatEndpoint.id_of(tower.weights, send_pictures=pictures), load


def _lora(tower: LanguageTower, writer: InstructionGenerator) -> nn.Module | None:
    """What learns of the LLM; only then is the LLM loaded before it is first asked."""
    return cast(FrozenLlm, writer.model).lora if tower.lora_rank else None


WRITERS: Mapping[
    str, Callable[[Profile, torch.device], tuple[str, Callable[[], InstructionModel]]]
] = {"causal": _causal, "vision_chat": _vision_chat, "endpoint": _endpoint}


def _baseline(
    build: Callable[[ZeusConfig, Target, torch.device], Model],
) -> Callable[[ZeusConfig, Target, torch.device, StateFolder], Model]:
    """A baseline keeps no state of its own."""
    return lambda config, target, device, state: build(config, target, device)


BASELINES: Mapping[str, Callable[[ZeusConfig, Target, torch.device], Baseline]] = {
    "unet": unet.build
}
MODELS: Mapping[str, Callable[[ZeusConfig, Target, torch.device, StateFolder], Model]] = {
    "zeus": build_zeus,
    **{name: _baseline(build) for name, build in BASELINES.items()},
}
