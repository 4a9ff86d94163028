"""What the frozen towers and the trainable models promise to the pipeline.

Everything that could be swapped by a YAML file or a registry entry stands behind one of these.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import nn

from zeus_app.progress import Pause, Report
from zeus_app.types import BoolArray, FloatArray, Guidance, Instruction, SliceStack

Batch = dict[str, torch.Tensor]


class Store(Protocol):
    """What is kept between runs: arrays and texts by key. A store that lost one answers None."""

    def __contains__(self, key: str) -> bool:
        """Whether something is kept under this key."""

    def get(self, key: str) -> FloatArray | None:
        """The array kept under this key."""

    def put(self, key: str, value: FloatArray) -> None:
        """Keep an array."""

    def get_text(self, key: str) -> str | None:
        """The text kept under this key."""

    def put_text(self, key: str, value: str) -> None:
        """Keep a text."""

    def hold(self, keys: Sequence[str]) -> AbstractContextManager[None]:
        """Meanwhile the store does not drop these keys for want of room."""


class ImageEncoder(Protocol):
    """A frozen tower that turns pictures into SAM image embeddings (F_enc of the paper)."""

    id: str  # names the weights, the preprocessing and the precision; part of cache keys

    def encode(self, pictures: FloatArray) -> FloatArray:
        """(N, 256, 256) float32 in [0, 1] -> (N, 256, 64, 64) float16."""


class VisionEncoder(Protocol):
    """A frozen tower that gives an LLM features of a picture (F_v of the paper)."""

    id: str
    dim: int

    def encode(self, pictures: FloatArray) -> FloatArray:
        """(N, 256, 256) float32 in [0, 1] -> (N, T, dim) float32; T = 1 where it is pooled."""


class TextEncoder(Protocol):
    """A frozen tower that turns an instruction into one vector (F_t of the paper)."""

    id: str
    dim: int

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """N texts -> (N, dim) float32."""


class InstructionModel(Protocol):
    """A frozen model that writes instructions (F_LLM of the paper, or one that sees for itself)."""

    id: str

    def write(
        self, shown: Any, prompts: Sequence[str], *, max_tokens: int, pause: Pause
    ) -> list[str]:
        """Greedy text for N prompts.

        `shown` is (N, P, hidden) image tokens, or (N, 256, 256) pictures for a model that sees;
        `pause` is called between tokens, or between prompts where others write.
        """


class LanguageModel(InstructionModel, Protocol):
    """A frozen causal LLM that takes image tokens beside its prompt."""

    hidden: int

    def last_hidden(self, image_tokens: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """(N, P, hidden) tokens and N prompts -> (N, hidden), differentiable in the tokens."""


@dataclass(frozen=True)
class ModuleInfo:
    """One row of the paper's Table 1 for an assembled model.

    Attributes:
        symbol: the paper's.
        name: what it does.
        class_name: the network's class.
        trainable: whether any of it learns.
        parameters: how many numbers; buffers are not counted.
        memory_bytes: of parameters and buffers as they are held, without activations and caches.
        run_before: whether the class was ever run with these published weights; None where it
            has none.
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
        """The row of a network, which may lie on torch's meta device."""
        parameters = list(module.parameters())
        return cls(
            symbol,
            name,
            type(module).__name__.lstrip("_"),
            trainable=any(parameter.requires_grad for parameter in parameters),
            parameters=sum(parameter.numel() for parameter in parameters),
            memory_bytes=sum(held.nbytes for held in [*parameters, *module.buffers()]),
        )


class Prepared(Protocol):
    """A study after every frozen tower: what training and inference draw batches from."""

    @property
    def present(self) -> BoolArray:
        """(S, M) bool, which branches see tissue on which slice."""

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """The texts behind the embeddings."""

    def batch(self, slices: Sequence[int]) -> Batch:
        """Tensors for these axial slices; dimension 0 of each counts slices.

        "present" is always among them: (B, M) bool. What `LAID_OUT` names lies as the picture does.
        """


class Model(Protocol):
    """A trainable network behind the same preparation, training and pipeline as every other."""

    @property
    def branches(self) -> tuple[str, ...]:
        """Names of the M masks that are united: the sequences, or one for early fusion."""

    @property
    def trainable(self) -> nn.Module:
        """What the optimiser sees and a checkpoint holds."""

    @property
    def reads_text(self) -> bool:
        """Whether a user's own text can mean anything to it."""

    @property
    def tower_ids(self) -> Mapping[str, str]:
        """The frozen towers the trainable part was fitted to, by role."""

    def bytes_to_keep(self, pictures: int) -> int:
        """Disk space that this many prepared pictures need."""

    def prepare(
        self, stack: SliceStack, *, guidance: Guidance, report: Report, keep_pixels: bool
    ) -> Prepared:
        """Run the frozen towers over a study, through the caches.

        Args:
            stack: the study's pictures.
            guidance: what the user wishes of the instructions.
            report: told about each batch.
            keep_pixels: whether what a cache cannot hold may be computed again later.
        """

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        """Set what is measured rather than learnt, from the studies a training begins with."""

    def logits(self, batch: Batch) -> torch.Tensor:
        """(B, M, K, 256, 256) logits; ABSENT where a branch sees no tissue."""


class Baseline(Model, Protocol):
    """Another network to compare with: it needs no weights, so it describes itself."""

    def describe(self) -> list[ModuleInfo]:
        """One row a network."""


LAID_OUT = ("embeddings", "pixels")
"""What in a batch has rows and columns, its last two axes, and moves when a slice is moved."""
ABSENT = -30.0
"""Logit of a branch that sees no tissue: probability 1e-13, and finite in float16."""


@runtime_checkable
class HoldsStudies(Protocol):
    """A model that keeps what the frozen towers make of a study in a store of limited size."""

    def holding(self) -> AbstractContextManager[None]:
        """Meanwhile studies prepared without their pixels stay in the store."""


@runtime_checkable
class LearnsProjection(Protocol):
    """A model that shows pictures to an LLM through a projection (f_vt of the paper)."""

    def through_last_layer(self) -> AbstractContextManager[None]:
        """For a while, read the LLM's last layer and not its words: there gradients reach f_vt."""

    def take_projection(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take f_vt and the LLM's LoRA, and nothing else, out of weights that learnt so."""
