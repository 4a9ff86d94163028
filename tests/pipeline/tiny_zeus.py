"""Zeus with towers small enough to compute by hand, and an untrained decoder of SAM."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

from tests.memory_cache import MemoryCache
from zeus_app.encoders.cached import CachedImageEncoder, CachedTextEncoder, PooledVision
from zeus_app.instructions.generate import InstructionGenerator
from zeus_app.models.aligner import BothAligner, EmbeddingAligner, TextAligner
from zeus_app.models.fusion import PlainUnion
from zeus_app.models.mask_decoder import InstructedMaskDecoder
from zeus_app.models.net import SHARED, ReadOutNet, SamNet, ZeusNet
from zeus_app.models.projector import VisionProjector
from zeus_app.models.readout import ReadOut
from zeus_app.pipeline.instructor import Instructor
from zeus_app.pipeline.slice_inputs import compressed_embeddings, whole_embeddings
from zeus_app.pipeline.zeus import MakeInputs, PreparedStudy, Zeus
from zeus_app.progress import Pause, silent
from zeus_app.targets import Target, load_target
from zeus_app.types import FloatArray, Grid, Guidance, SliceFrame, SliceStack

TARGET = load_target("abdomen").only(("T2-SPIR", "T1-in"))
LLM_DIM, TEXT_DIM = 8, 6


class CountingImages:
    id = "counting"

    def __init__(self) -> None:
        self.seen = 0

    def encode(self, pictures: FloatArray) -> FloatArray:
        self.seen += len(pictures)
        means = pictures.mean(axis=(1, 2))[:, None, None, None]
        noise = np.random.default_rng(0).normal(size=(1, 256, 64, 64))
        return np.asarray(noise * (1 + means), np.float16)


class LetterTexts:
    """Counts of six letters: the same words always give the same vector."""

    id, dim = "letters", TEXT_DIM

    def encode(self, texts: Sequence[str]) -> FloatArray:
        return np.array([[text.count(c) for c in "klnrsv"] for text in texts], np.float32)


class EchoLlm:
    """Writes its prompt back; its last layer is the mean image token."""

    id, hidden = "echo", LLM_DIM

    def __init__(self) -> None:
        self.written = 0
        self.shown: list[tuple[int, ...] | None] = []

    def generate(
        self,
        image_tokens: torch.Tensor | None,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        pause: Pause,
    ) -> list[str]:
        self.written += len(prompts)
        self.shown.append(None if image_tokens is None else tuple(image_tokens.shape[1:]))
        return [f"echo: {prompt}" for prompt in prompts]

    def last_hidden(self, image_tokens: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        return image_tokens.mean(dim=1) + torch.tensor([[float(len(p))] for p in prompts])


def random_sam() -> tuple[PromptEncoder, MaskDecoder]:
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=64, num_heads=8)
    decoder = MaskDecoder(transformer_dim=256, transformer=transformer)
    return PromptEncoder(256, (64, 64), (256, 256), 16), decoder


class Parts:
    """A Zeus and the towers it was given."""

    def __init__(
        self,
        *,
        mode: str = "text",
        scope: str = "series",
        older_scope: str = "",
        shipped: Mapping[str, str] | None = None,
        fusion: str = "hybrid",
        target: Target = TARGET,
        sam: tuple[PromptEncoder, MaskDecoder] | None = None,
        llm_sees: str = "tokens",
        lora: torch.nn.Module | None = None,
        decoder: str = "sam",
        union: str = "max",
    ) -> None:
        torch.manual_seed(0)
        aligner = {
            "text": TextAligner(TEXT_DIM),
            "embedding": EmbeddingAligner(LLM_DIM),
            "both": BothAligner(TEXT_DIM, LLM_DIM),
        }[mode]
        self.images, self.llm, self.cache = CountingImages(), EchoLlm(), MemoryCache()
        images = CachedImageEncoder(self.images, self.cache, batch=2)
        sequences, hybrid = target.sequence_names, fusion == "hybrid"
        projector = VisionProjector(256, LLM_DIM, hidden_dim=4)
        unites = None if union == "features" else PlainUnion(union)
        make_inputs: MakeInputs = whole_embeddings
        if decoder == "readout":
            read_outs = [ReadOut(2)] if hybrid else [ReadOut(1), ReadOut(1)]
            read_out = ReadOutNet(
                projector, aligner, read_outs, unites, lora, labels=len(target.labels)
            )
            net: ZeusNet = read_out
            make_inputs = partial(compressed_embeddings, read_out, self.cache)
        else:
            assert unites is not None
            prompts, mask_decoder = sam or random_sam()
            names = (SHARED,) if hybrid else sequences
            decoders = {name: InstructedMaskDecoder(mask_decoder, prompts) for name in names}
            net = SamNet(projector, aligner, decoders, unites, lora, sequences=sequences)
        self.zeus = Zeus(
            branches=target.sequence_names,
            net=net,
            images=images,
            instructor=Instructor(
                target=target,
                texts=CachedTextEncoder(LetterTexts(), self.cache),
                vision=PooledVision(images) if llm_sees == "tokens" else None,
                generator=InstructionGenerator(
                    model_id="echo",
                    load=lambda: self.llm,
                    cache=self.cache,
                    max_tokens=9,
                    sees_pictures=llm_sees == "pictures",
                    shipped=lambda: shipped or {},
                ),
                prompt=lambda instance, sequence: f"segment {instance} in {sequence}",
                scope=scope,
                older_scope=older_scope,
            ),
            mode=mode,
            device=torch.device("cpu"),
            make_inputs=make_inputs,
        )


def a_stack(*, slices: int = 3, seed: int = 1) -> SliceStack:
    """T2-SPIR shows tissue on every slice, T1-in on the last alone."""
    frame = SliceFrame(Grid((256, 256, slices), np.eye(4)), 256, 256, 256, 0, 0)
    rng = np.random.default_rng(seed)
    pixels = rng.random((2, slices, 256, 256), np.float32)
    tissue = np.ones((2, slices), bool)
    tissue[1, :-1] = False
    pixels[~tissue] = 0
    return SliceStack(TARGET.sequence_names, pixels, tissue, frame)


def prepare(
    parts: Parts,
    texts: dict[tuple[str, str], str] | None = None,
    *,
    keep: bool = True,
    scope: str = "",
    slices: int = 3,
    seed: int = 1,
) -> PreparedStudy:
    guidance = Guidance(texts or {}, scope)
    stack = a_stack(slices=slices, seed=seed)
    return parts.zeus.prepare(stack, guidance=guidance, report=silent, keep_pixels=keep)
