"""Assembly: builds a segmenter from a config. The only module that knows every concrete class."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn

from zeus_app.baselines import model as baseline
from zeus_app.baselines.registry import NETWORKS
from zeus_app.devices import batch_size, choose_device
from zeus_app.encoders.cached import (
    CachedImageEncoder,
    CachedTextEncoder,
    CachedVisionEncoder,
    PooledVision,
)
from zeus_app.errors import InputError
from zeus_app.instructions.generate import WITHOUT_PICTURES, InstructionGenerator
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.shipped_texts import shipped_texts
from zeus_app.instructions.templates import paper_prompt
from zeus_app.models.aligner import BothAligner, EmbeddingAligner, TextAligner
from zeus_app.models.fusion import PlainUnion, WeightedUnion
from zeus_app.models.mask_decoder import InstructedMaskDecoder
from zeus_app.models.net import SHARED, ReadOutNet, SamNet, ZeusNet
from zeus_app.models.projector import FixedProjector, VisionProjector
from zeus_app.models.qformer import QFormerProjector
from zeus_app.models.readout import ReadOut
from zeus_app.pipeline.instructor import Instructor, check_scope
from zeus_app.pipeline.plugins import plugin_models
from zeus_app.pipeline.second_look import SecondLook
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.pipeline.slice_inputs import compressed_embeddings, whole_embeddings
from zeus_app.pipeline.zeus import Zeus
from zeus_app.profiles import LanguageModelConfig, Profile, load_profile, weights_of
from zeus_app.profiles.fitting import (
    check_width,
    refuse_early_fusion,
    refuse_embeddings_without_tokens,
    refuse_features_without_read_out,
)
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.kept_masks import KeptMasks
from zeus_app.prompts.segmenter import ClickSegmenter
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
from zeus_app.towers import LazyModel, LoadContext, tower
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.types import GIB, MIB
from zeus_app.weights import check_present

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
    """Assemble the segmenter of a config.

    Raises:
        UnknownNameError: the target, profile, model or a tower is unknown.
        InputError: weights are missing or wrong, the parts do not fit each other, or a plugin
            cannot be imported.
    """
    plugins = plugin_models()
    lookup("model", config.model, {**MODELS, **plugins})
    if config.model in plugins:
        return plugins[config.model].segmenter(config, state)
    torch.manual_seed(config.seed)
    target = target_of(config)
    device = choose_device(config.device)
    model = MODELS[config.model](config, target, device, state)
    return Segmenter(
        config=config,
        target=target,
        model=model,
        checkpoints=Checkpoints(state.checkpoints),
        split_path=state.splits,
        cache_folder=state.cache,
        device=device,
    )


def build_zeus(
    config: ZeusConfig, target: Target, device: torch.device, state: StateFolder
) -> Zeus:
    """Zeus with the towers of the config's profile."""
    profile = load_profile(config.profile)
    refuse_early_fusion(config)
    refuse_features_without_read_out(config)
    refuse_embeddings_without_tokens(config, profile)
    scope, older_scope = text_scopes(config, profile, device)
    check_scope(scope, config.instruction)
    check_present(weights_of(profile), command=f"zeus weights get {config.profile}")
    cache = _cache(config, state)
    images = _images(config, profile, device, cache)
    texts = _texts(profile, device, cache)
    vision = _vision(profile, images, device, cache)
    generator = instruction_generator(config, profile, device, cache)
    lora = _lora(profile.llm, generator)
    # Loading may draw random numbers. A second seed keeps f_vt the same on every start, and with it
    # the cache keys of the texts that the LLM writes from f_vt's tokens.
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
            texts=texts,
            vision=vision,
            generator=generator,
            prompt=paper_prompt,
            scope=scope,
            older_scope=older_scope,
        ),
        mode=config.instruction,
        device=device,
        make_inputs=partial(compressed_embeddings, net, cache)
        if isinstance(net, ReadOutNet)
        else whole_embeddings,
        decoder=_decoder_id(config),
        look=_second_look(config, profile, net, device),
    )


def _second_look(
    config: ZeusConfig, profile: Profile, net: ZeusNet, device: torch.device
) -> SecondLook | None:
    if config.chosen_decoder != "both":
        return None
    return SecondLook(PromptDecoder(*sam_parts(profile)), cast(ReadOutNet, net).second_look, device)


def _decoder_id(config: ZeusConfig) -> str:
    """What a checkpoint must be trained with, besides the towers; "" for SAM's plain decoder."""
    unions = {"weighted": "weighted union", "features": "union of features"}
    parts = [] if config.chosen_decoder == "sam" else ["readout"]
    return ", ".join([*parts, *filter(None, [unions.get(config.chosen_union)])])


def text_scopes(config: ZeusConfig, profile: Profile, device: torch.device) -> tuple[str, str]:
    """The scope of instructions, and the scope of weights that do not tell theirs.

    The scope is that of the settings, then of the profile, then of the device. A scope of the
    settings holds for all weights; the second scope is then empty.

    Raises:
        InputError: the settings name the scope without pictures, and the model sees slices.
    """
    sees_slices = profile.llm.kind == "vision_chat" or profile.llm.send_pictures
    if config.scope == WITHOUT_PICTURES and sees_slices:
        raise InputError(
            f"scope {WITHOUT_PICTURES} with profile {profile.name}, whose language model sees the"
            " slices",
            expected="series, key or all",
            remedy="send --set scope=series",
        )
    if config.scope != "auto":
        return config.scope, ""
    of_profile = profile.scope if profile.scope not in ("auto", WITHOUT_PICTURES) else ""
    with_pictures = of_profile or ("series" if device.type == "cpu" else "all")
    needs_pictures = sees_slices or config.instruction != "text"
    is_without = profile.scope == WITHOUT_PICTURES and not needs_pictures
    return WITHOUT_PICTURES if is_without else with_pictures, with_pictures


def build_images(config: ZeusConfig, state: StateFolder) -> CachedImageEncoder:
    """The profile's image encoder behind the cache that all of Zeus shares."""
    profile, device = load_profile(config.profile), choose_device(config.device)
    return _images(config, profile, device, _cache(config, state))


def _cache(config: ZeusConfig, state: StateFolder) -> Cache:
    return Cache(state.cache, size_limit_bytes=int(config.cache_gib * GIB))


def build_clicks(
    config: ZeusConfig, state: StateFolder, *, shared_with: Segmenter | None = None
) -> ClickSegmenter:
    """The segmenter for prompts: the profile's image encoder with SAM's untrained decoder.

    Args:
        config: names the profile.
        state: has the cache of embeddings.
        shared_with: a segmenter of the same config. Its image encoder, if any, serves both.
    """
    plugin = plugin_models().get(config.model)
    if plugin and plugin.clicks:
        return plugin.clicks(config, state)
    profile = load_profile(config.profile)
    model = shared_with.model if shared_with else None
    return ClickSegmenter(
        images=model.images if isinstance(model, Zeus) else build_images(config, state),
        decoder=PromptDecoder(*sam_parts(profile)),
        threshold=config.threshold,
        device=choose_device(config.device),
        kept=KeptMasks(limit_bytes=config.click_masks_mib * MIB),
    )


def image_encoder(config: ZeusConfig, profile: Profile, device: torch.device) -> ImageEncoder:
    """F_enc of the profile, in the runtime that the settings name."""
    entry = profile.image_encoder
    context = LoadContext(device=device, runtime=config.encoder_runtime)
    encoder: ImageEncoder = tower("image encoder", entry.kind).load(entry, context)
    return encoder


def _images(
    config: ZeusConfig, profile: Profile, device: torch.device, cache: Cache
) -> CachedImageEncoder:
    encoder = image_encoder(config, profile, device)
    batch = batch_size(config.encoder_batch or config.batch_slices, device, gpu=8, cpu=1)
    return CachedImageEncoder(encoder, cache, batch=batch)


def sam_parts(profile: Profile) -> tuple[PromptEncoder, MaskDecoder]:
    """The pretrained prompt encoder and mask decoder of a profile's image encoder."""
    entry = profile.image_encoder
    decoder = tower("image encoder", entry.kind).decoder
    assert decoder is not None, f"the entry of {entry.kind} in towers.py lacks `decoder`"
    return decoder(entry)


def trainable_net(
    config: ZeusConfig,
    profile: Profile,
    *,
    target: Target,
    load_sam: Callable[[], tuple[PromptEncoder, MaskDecoder]],
    lora: nn.Module | None = None,
) -> ZeusNet:
    """f_vt, f_tt and F_pred of the settings. Each SAM decoder starts as a copy of SAM's."""
    projector = lookup("projection", profile.vision.projection, PROJECTORS)(profile)
    aligner = lookup("instruction", config.instruction, ALIGNERS)(profile)
    union = _union(config, target)
    sequences, hybrid = target.sequence_names, config.fusion == "hybrid"
    if config.chosen_decoder != "sam":
        count = len(sequences)
        read_outs = [ReadOut(count)] if hybrid else [ReadOut(1) for _ in sequences]
        return ReadOutNet(projector, aligner, read_outs, union, lora, labels=len(target.labels))
    assert union is not None, "refuse_features_without_read_out refuses these settings"
    prompts, decoder = load_sam()
    names = (SHARED,) if hybrid else sequences
    decoders = {name: InstructedMaskDecoder(decoder, prompts) for name in names}
    return SamNet(projector, aligner, decoders, union, lora, sequences=sequences)


def _union(config: ZeusConfig, target: Target) -> nn.Module | None:
    if config.chosen_union == "features":
        return None
    if config.chosen_union == "weighted":
        return WeightedUnion(len(target.sequences), len(target.labels))
    return PlainUnion(config.chosen_union)


def _vision(
    profile: Profile, images: CachedImageEncoder, device: torch.device, cache: Cache
) -> PooledVision | CachedVisionEncoder | None:
    entry = profile.vision
    context = LoadContext(device=device, images=images)
    encoder: VisionEncoder | PooledVision | None = tower("vision tower", entry.kind).load(
        entry, context
    )
    if encoder is None:
        return None
    check_width(profile, "vision.dim", stated=entry.dim, actual=encoder.dim)
    return encoder if isinstance(encoder, PooledVision) else CachedVisionEncoder(encoder, cache)


def _texts(profile: Profile, device: torch.device, cache: Cache) -> CachedTextEncoder:
    entry = profile.text_encoder
    encoder: TextEncoder = tower("text encoder", entry.kind).load(entry, LoadContext(device=device))
    check_width(profile, "text_encoder.dim", stated=entry.dim, actual=encoder.dim)
    return CachedTextEncoder(encoder, cache)


def instruction_generator(
    config: ZeusConfig, profile: Profile, device: torch.device, cache: Cache
) -> InstructionGenerator:
    """The language model behind the cache; it is loaded when a text is missing.

    Raises:
        UnknownNameError: the profile names a language model of unknown kind.
        InputError: weights are missing; later, at the load, an LLM of another width.
    """
    entry = profile.llm
    llm_device = choose_device(config.llm_device) if config.llm_device else device
    model: LazyModel = tower("language model", entry.kind).load(
        entry, LoadContext(device=llm_device)
    )

    def load() -> InstructionModel:
        llm = model.load()
        if isinstance(llm, FrozenLlm):
            check_width(profile, "llm.hidden", stated=entry.hidden, actual=llm.hidden)
        return llm

    generator = InstructionGenerator(
        model_id=model.id,
        load=load,
        cache=cache,
        max_tokens=config.instruction_tokens,
        sees_pictures=entry.kind == "vision_chat" or entry.send_pictures,
        # The address keeps two servers apart that give different models the same name.
        variant=lambda: (
            cast(FrozenLlm, generator.model).fingerprint() if entry.lora_rank else entry.url
        ),
        shipped=shipped_texts,
    )
    return generator


def _lora(tower: LanguageModelConfig, generator: InstructionGenerator) -> nn.Module | None:
    """The LLM's LoRA weights, or None. With LoRA the LLM is loaded here, not at its first text."""
    return cast(FrozenLlm, generator.model).lora if tower.lora_rank else None


def _baseline(
    build: Callable[[ZeusConfig, Target, torch.device], Model],
) -> Callable[[ZeusConfig, Target, torch.device, StateFolder], Model]:
    """Drop the state folder, which a baseline does not use."""
    return lambda config, target, device, state: build(config, target, device)


BASELINES: Mapping[str, Callable[[ZeusConfig, Target, torch.device], Baseline]] = {
    name: partial(baseline.build, name) for name in NETWORKS
}
MODELS: Mapping[str, Callable[[ZeusConfig, Target, torch.device, StateFolder], Model]] = {
    "zeus": build_zeus,
    **{name: _baseline(build) for name, build in BASELINES.items()},
}
