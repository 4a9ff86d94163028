"""From a config to an assembled segmenter: the one place that assembles, through registries."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn

from zeus_app.baselines import unet
from zeus_app.cache import Cache
from zeus_app.config import ZeusConfig
from zeus_app.devices import choose_device
from zeus_app.encoders.kept import KeptImageEncoder, KeptTextEncoder
from zeus_app.encoders.lite_medsam import LiteMedSamEncoder, load_prompt_encoder_and_decoder
from zeus_app.encoders.text import MiniLmEncoder
from zeus_app.errors import InputError
from zeus_app.instructions.generate import InstructionWriter
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.templates import paper_prompt
from zeus_app.models.aligner import EmbeddingAligner, TextAligner
from zeus_app.models.mask_decoder import InstructedMaskDecoder
from zeus_app.models.net import SHARED, ZeusNet
from zeus_app.models.projector import FixedProjector, VisionProjector
from zeus_app.models.qformer import QFormerProjector
from zeus_app.pipeline import Segmenter
from zeus_app.profiles import Profile, load_profile
from zeus_app.protocols import Baseline, Model
from zeus_app.registry import lookup
from zeus_app.state import StateFolder
from zeus_app.targets import Target, load_target
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.weights import locate
from zeus_app.zeus import Zeus

IMAGE_ENCODERS = {"lite_medsam": LiteMedSamEncoder}
TEXT_ENCODERS = {"minilm": MiniLmEncoder}
LANGUAGE_MODELS = {"causal": FrozenLlm}
PROJECTORS: Mapping[str, Callable[[Profile], nn.Module]] = {
    "mlp": lambda p: VisionProjector(p.vision.dim, p.llm.hidden, hidden_dim=p.vision.hidden),
    "qformer": lambda p: QFormerProjector(p.vision.dim, p.llm.hidden),
    "fixed": lambda p: FixedProjector(p.vision.dim, p.llm.hidden),
}
ALIGNERS: Mapping[str, Callable[[Profile], nn.Module]] = {
    "text": lambda p: TextAligner(p.text_encoder.dim),
    "embedding": lambda p: EmbeddingAligner(p.llm.hidden),
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


def target_of(config: ZeusConfig) -> Target:
    """The target a config names, looking at the sequences it chose."""
    target = load_target(config.target)
    return target.only(config.chosen_sequences) if config.chosen_sequences else target


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
    refuse_early_fusion(config)
    profile = load_profile(config.profile)
    cache = Cache(state.cache, size_limit_bytes=int(config.cache_gib * (1 << 30)))
    image_tower = lookup("image encoder", profile.image_encoder.kind, IMAGE_ENCODERS)
    text_tower = lookup("text encoder", profile.text_encoder.kind, TEXT_ENCODERS)
    encoder = image_tower(locate(profile.image_encoder.weights), device=device)
    text_encoder = text_tower(locate(profile.text_encoder.weights), device=device)
    sam = partial(load_prompt_encoder_and_decoder, locate(profile.image_encoder.weights))
    scope = config.scope
    if scope == "auto":
        scope = "series" if device.type == "cpu" else "slice"
    return Zeus(
        target=target,
        net=trainable_net(config, profile, target=target, load_sam=sam),
        images=KeptImageEncoder(encoder, cache, batch=config.batch_slices),
        texts=KeptTextEncoder(text_encoder, cache),
        writer=_writer(config, profile, device, cache),
        prompt=paper_prompt,
        scope=scope,
        mode=config.instruction,
        device=device,
    )


def trainable_net(
    config: ZeusConfig,
    profile: Profile,
    *,
    target: Target,
    load_sam: Callable[[], tuple[PromptEncoder, MaskDecoder]],
) -> ZeusNet:
    """f_vt, f_tt and F_pred as the settings ask; each decoder begins as a copy of SAM's."""
    projector = lookup("projection", profile.vision.projection, PROJECTORS)(profile)
    aligner = lookup("instruction", config.instruction, ALIGNERS)(profile)
    prompts, decoder = load_sam()
    names = (SHARED,) if config.fusion == "hybrid" else target.sequence_names
    decoders = {name: InstructedMaskDecoder(decoder, prompts) for name in names}
    return ZeusNet(projector, aligner, decoders)


def _writer(
    config: ZeusConfig, profile: Profile, device: torch.device, cache: Cache
) -> InstructionWriter:
    path = locate(profile.llm.weights)
    tower = lookup("language model", profile.llm.kind, LANGUAGE_MODELS)
    return InstructionWriter(
        llm_id=tower.id_of(path),
        load_llm=partial(tower, path, device=device, prompt_style=profile.prompt_style),
        store=cache,
        max_tokens=config.instruction_tokens,
    )


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
