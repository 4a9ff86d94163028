"""Protocols: what frozen towers and trainable models offer to the pipeline.

Everything that a YAML file or a registry entry can replace is behind one of them. A protocol with
one implementer says in its docstring why it is one.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import torch
from torch import nn

from zeus_app.progress import Pause, Report
from zeus_app.types import BoolArray, FloatArray, Guidance, Instruction, SliceStack

Batch = dict[str, torch.Tensor]

SPATIAL = ("embeddings", "pixels")
"""Tensors of a batch whose last two axes are rows and columns of a slice."""
ABSENT = -30.0
"""Logit of a branch without tissue: probability 1e-13, and finite in float16."""


class Decoded(NamedTuple):
    """What a model makes of a batch of B slices: logits of K labels.

    Attributes:
        branches: (B, M, K, 256, 256); `ABSENT` where a branch shows no tissue.
        union: (B, K, 256, 256) of all branches together.
    """

    branches: torch.Tensor
    union: torch.Tensor


class ImageEncoder(Protocol):
    """A frozen tower from pictures to SAM image embeddings (F_enc of the paper)."""

    id: str  # names weights, preprocessing and precision; part of cache keys

    def encode(self, pictures: FloatArray) -> FloatArray:
        """(N, 256, 256) float32 in [0, 1] -> (N, 256, 64, 64) float16."""


class VisionEncoder(Protocol):
    """A frozen tower from pictures to features for an LLM (F_v of the paper)."""

    id: str
    dim: int

    def encode(self, pictures: FloatArray) -> FloatArray:
        """(N, 256, 256) float32 in [0, 1] -> (N, T, dim) float32; T = 1 if pooled."""


class TextEncoder(Protocol):
    """A frozen tower from an instruction to one vector (F_t of the paper)."""

    id: str
    dim: int

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """N texts -> (N, dim) float32."""


class InstructionModel(Protocol):
    """A frozen model that generates instructions: F_LLM of the paper, or one that sees pictures."""

    id: str

    def generate(
        self, visual: Any, prompts: Sequence[str], *, max_tokens: int, pause: Pause
    ) -> list[str]:
        """Generate N texts greedily.

        Args:
            visual: (N, P, hidden) image tokens, or (N, 256, 256) pictures for a vision-language
                model. None for no picture, which a vision-language model refuses.
            prompts: N prompts.
            max_tokens: longest text, in tokens.
            pause: called between tokens; a remote model calls it between prompts.
        """


@dataclass(frozen=True)
class ModuleInfo:
    """One row of the paper's Table 1 for an assembled model.

    Attributes:
        symbol: symbol in the paper.
        name: role of the module.
        class_name: class of the network.
        trainable: whether any parameter is trained.
        parameters: number of parameters, without buffers.
        memory_bytes: bytes of parameters and buffers, without activations and caches.
        run_before: whether the class was ever run with these published weights; None if there are
            no published weights.
    """

    symbol: str
    name: str
    class_name: str
    trainable: bool
    parameters: int
    memory_bytes: int
    run_before: bool | None = None

    @classmethod
    def of(cls, symbol: str, name: str, module: nn.Module) -> Self:
        """The row of a network, which may be on torch's meta device."""
        parameters = list(module.parameters())
        return cls(
            symbol,
            name,
            type(module).__name__.lstrip("_"),
            trainable=any(parameter.requires_grad for parameter in parameters),
            parameters=sum(parameter.numel() for parameter in parameters),
            memory_bytes=sum(tensor.nbytes for tensor in [*parameters, *module.buffers()]),
        )


class Prepared(Protocol):
    """A study after the frozen towers. Training and inference take batches from it."""

    @property
    def present(self) -> BoolArray:
        """(S, M) bool, whether a sequence shows tissue on a slice."""

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """The texts that were encoded."""

    def batch(self, slices: Sequence[int]) -> Batch:
        """Tensors for B axial slices; dimension 0 of each is B.

        A batch has "present", (B, M) bool. The tensors in `SPATIAL` are (B, ..., H, W).
        """


class Model(Protocol):
    """A trainable network behind the one preparation, training loop and pipeline."""

    @property
    def branches(self) -> tuple[str, ...]:
        """Names of the M masks that are united: the sequences, or one name for early fusion."""

    @property
    def trainable(self) -> nn.Module:
        """The part that the optimiser trains and a checkpoint holds."""

    @property
    def reads_text(self) -> bool:
        """Whether a user's text changes the masks."""

    @property
    def tower_ids(self) -> Mapping[str, str]:
        """Role -> id of the frozen towers that the trainable part is trained with."""

    def cache_bytes(self, pictures: int) -> int:
        """Bytes that this many pictures need in the embedding cache."""

    def pin_embeddings(self) -> AbstractContextManager[None]:
        """Within this context, the cache evicts no embedding of studies prepared without pixels."""

    def prepare(
        self, stack: SliceStack, *, guidance: Guidance, report: Report, keep_pixels: bool
    ) -> Prepared:
        """Run the frozen towers over a study, through the caches.

        Args:
            stack: the study's slices.
            guidance: the user's own texts and scope for the instructions.
            report: called before each batch.
            keep_pixels: keep the pictures in memory, so that an evicted embedding can be encoded
                again. Training sets False.
        """

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        """Set the statistics that are measured on the training studies, not learned."""

    def decode(self, batch: Batch, *, branches: bool = True) -> Decoded:
        """Decode a batch.

        Args:
            batch: of `Prepared.batch`.
            branches: False if the caller needs the union alone. A model that can make the union
                without the branches then gives M = 0 branches.
        """


class Baseline(Model, Protocol):
    """Another network to compare with; an entry of the registry `build.BASELINES`.

    All entries so far are networks of `baselines.registry`, behind one `NetworkModel`.
    """

    def describe(self) -> list[ModuleInfo]:
        """One row per network."""


@runtime_checkable
class WritesTexts(Protocol):
    """A model whose decoder reads texts, and that can write them in several scopes.

    Only `Zeus` is one. Weights that learned from texts of one scope are asked with the same.
    """

    @property
    def text_scope(self) -> str:
        """The scope of the texts, if a request names none."""

    def write_texts_as(self, recorded: str | None) -> None:
        """Take the scope of a version, unless the settings name a scope.

        Args:
            recorded: the scope that the version learned from; empty if it does not tell; None
                before any training.
        """


@runtime_checkable
class LearnsProjection(Protocol):
    """A model with a projection from pictures to an LLM (f_vt of the paper).

    Only `Zeus` is one. The protocol stays because `training/` must not import `pipeline/`.
    """

    def through_last_layer(self) -> AbstractContextManager[None]:
        """Within this context, read the LLM's last layer instead of its words.

        Gradients reach f_vt only through the last layer.
        """

    def take_projection(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load f_vt and the LLM's LoRA, and nothing else, from trained weights."""
