"""The instructions that a study needs, each generated once."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch

from zeus_app.progress import Report
from zeus_app.protocols import InstructionModel
from zeus_app.storage.cache import Cache
from zeus_app.types import BoolArray, FloatArray

BATCH = 8
"""Texts that the model generates at once."""
WITHOUT_PICTURES = "target"
"""The scope in which the model writes one text for each label and sequence, and sees no picture."""
KEY_SHARES = (0.25, 0.5, 0.75)
"""Positions of the key slices among a sequence's slices with tissue."""


@dataclass(frozen=True)
class Request:
    """One instruction to generate.

    Attributes:
        branch, label: indices into the model's sequences (M) and labels (K).
        slice_index: axial slice that the model sees.
        prompt: question to the model.
    """

    branch: int
    label: int
    slice_index: int
    prompt: str


def slices_to_describe(tissue: BoolArray, *, scope: str) -> list[list[int]]:
    """Axial slices of each sequence that get their own instruction.

    Args:
        tissue: (M, S) bool.
        scope: "all": every slice with tissue. "key": three of them, at their quarters. "series",
            "target" and "none": the middle one, for all slices.

    Returns:
        M lists of slice indices; empty for a sequence without tissue.
    """
    with_tissue = [[int(s) for s in np.flatnonzero(row)] for row in tissue]
    if scope == "all":
        return with_tissue
    shares = KEY_SHARES if scope == "key" else (0.5,)
    return [
        sorted({row[int(len(row) * share)] for share in shares}) if row else []
        for row in with_tissue
    ]


def text_key(
    model_id: str,
    variant: str,
    max_tokens: int,
    prompt: str,
    *,
    visual: torch.Tensor | FloatArray | None = None,
) -> str:
    """The key of a text: a hash of all that it depends on.

    Args:
        model_id: names the model's weights, precision and prompt style.
        variant: what else changes a text of this model.
        max_tokens: longest text, in tokens.
        prompt: the question.
        visual: what the model sees; None for nothing.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{model_id}|{variant}|{max_tokens}|{prompt}|".encode())
    if visual is not None:
        digest.update(torch.as_tensor(visual).detach().float().cpu().numpy().tobytes())
    return f"text-{digest.hexdigest()}"


def nearest(described: Sequence[int], slices: int) -> list[int]:
    """For each of `slices` slices, the position in `described` of the closest slice."""
    distances = np.abs(np.subtract.outer(np.arange(slices), np.asarray(described)))
    return [int(row) for row in distances.argmin(axis=1)]


class InstructionGenerator:
    """A frozen model behind the cache and the shipped texts: no text is generated twice.

    Args:
        model_id: names the model's weights and settings, for cache keys. It is known before the
            model is loaded.
        load: loads the model. It is called when a text is missing.
        cache: keeps texts between runs.
        max_tokens: longest instruction, in tokens.
        sees_pictures: the model sees slices instead of image tokens.
        variant: returns what else changes a text: LoRA's weights now, or a server's address.
        shipped: returns texts by their keys, which this model wrote before (`shipped_texts.py`).
    """

    def __init__(
        self,
        *,
        model_id: str,
        load: Callable[[], InstructionModel],
        cache: Cache,
        max_tokens: int,
        sees_pictures: bool = False,
        variant: Callable[[], str] = str,
        shipped: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self.id = model_id
        self.sees_pictures = sees_pictures
        self._load, self._variant, self._shipped = load, variant, shipped
        self._cache = cache
        self._max_tokens = max_tokens

    @cached_property
    def model(self) -> InstructionModel:
        """The model. The first use loads it."""
        return self._load()

    def generate(
        self,
        requests: Sequence[Request],
        visual: torch.Tensor | FloatArray | None,
        *,
        report: Report,
    ) -> list[str]:
        """The texts for N requests: shipped, from the cache, or from the model.

        Args:
            requests: N requests.
            visual: (N, P, hidden) image tokens of each request's slice; or (N, H, W) pictures if
                the model sees pictures. None: the model sees no picture, and only such texts are
                shipped.
            report: called before each batch, and between its tokens.
        """
        variant, shipped = self._variant(), self._shipped() if visual is None else {}
        rows_of_visual = [None] * len(requests) if visual is None else visual
        keys = [
            text_key(self.id, variant, self._max_tokens, request.prompt, visual=row)
            for request, row in zip(requests, rows_of_visual, strict=True)
        ]
        texts = {key: shipped.get(key) or self._cache.get_text(key) for key in keys}
        missing = list({key: i for i, key in enumerate(keys) if texts[key] is None}.values())
        for start in range(0, len(missing), BATCH):
            report("instructions", start, len(missing))
            rows = missing[start : start + BATCH]
            generated = self.model.generate(
                None if visual is None else visual[rows],
                [requests[i].prompt for i in rows],
                max_tokens=self._max_tokens,
                pause=partial(report, "instructions", start, len(missing)),
            )
            for i, text in zip(rows, generated, strict=True):
                texts[keys[i]] = text
                self._cache.put_text(keys[i], text)
        return [texts[key] or "" for key in keys]
