"""Which instructions a study needs, and writing each of them once."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch

from zeus_app.progress import Report
from zeus_app.protocols import InstructionModel, Store
from zeus_app.types import BoolArray, FloatArray

BATCH = 8
KEY_SHARES = (0.25, 0.5, 0.75)
"""Where key slices lie among a sequence's slices with tissue."""


@dataclass(frozen=True)
class Request:
    """One instruction to be written.

    Attributes:
        branch, label: indices into the model's sequences (M) and labels (K).
        slice_index: the axial slice the LLM is shown.
        prompt: what the LLM is asked.
    """

    branch: int
    label: int
    slice_index: int
    prompt: str


def slices_to_describe(tissue: BoolArray, *, scope: str) -> list[list[int]]:
    """Which axial slices of each sequence get an instruction of their own.

    Args:
        tissue: (M, S).
        scope: "all": every slice with tissue; "key": three of them, at their quarters; "series" and
            "none": the middle one stands for all.

    Returns:
        M lists of slice indices; empty for a sequence without tissue.
    """
    shown = [[int(s) for s in np.flatnonzero(row)] for row in tissue]
    if scope == "all":
        return shown
    shares = KEY_SHARES if scope == "key" else (0.5,)
    picked = [{row[int(len(row) * share)] for share in shares} if row else set() for row in shown]
    return [sorted(rows) for rows in picked]


def nearest(described: Sequence[int], slices: int) -> list[int]:
    """For each of so many slices, the position in `described` of the one closest to it."""
    away = np.abs(np.subtract.outer(np.arange(slices), np.asarray(described)))
    return [int(row) for row in away.argmin(axis=1)]


class InstructionGenerator:
    """A frozen model behind a store: no text is written twice.

    Args:
        model_id: names the model's weights and settings, for keys; known before it is loaded.
        load: makes the model; called only when a text is missing.
        store: keeps texts between runs.
        max_tokens: the longest instruction.
        sees_pictures: the model is shown slices, not image tokens.
        kept_by: what else a text is kept under, as it is now: what LoRA has learnt, where a server
            stands.
    """

    def __init__(
        self,
        *,
        model_id: str,
        load: Callable[[], InstructionModel],
        store: Store,
        max_tokens: int,
        sees_pictures: bool = False,
        kept_by: Callable[[], str] = str,
    ) -> None:
        self.id = model_id
        self.sees_pictures = sees_pictures
        self._load, self._kept_by = load, kept_by
        self._store = store
        self._max_tokens = max_tokens

    @cached_property
    def model(self) -> InstructionModel:
        """The model, loaded at first need: with every text kept it is never needed."""
        return self._load()

    def write(
        self, requests: Sequence[Request], shown: torch.Tensor | FloatArray, *, report: Report
    ) -> list[str]:
        """The texts for `requests`.

        Args:
            requests: N of them.
            shown: (N, P, hidden), what the projection made of each one's picture; or (N, H, W) the
                pictures, for a model that sees them.
            report: told about each batch, and again between its tokens.
        """
        by = self._kept_by()
        keys = [self._key(request, one, by) for request, one in zip(requests, shown, strict=True)]
        texts = {key: self._store.get_text(key) for key in keys}
        missing = [i for i, key in enumerate(keys) if texts[key] is None]
        missing = list({keys[i]: i for i in missing}.values())
        for start in range(0, len(missing), BATCH):
            report("instructions", start, len(missing))
            rows = missing[start : start + BATCH]
            written = self.model.write(
                shown[rows],
                [requests[i].prompt for i in rows],
                max_tokens=self._max_tokens,
                pause=partial(report, "instructions", start, len(missing)),
            )
            for i, text in zip(rows, written, strict=True):
                texts[keys[i]] = text
                self._store.put_text(keys[i], text)
        return [texts[key] or "" for key in keys]

    def _key(self, request: Request, shown: torch.Tensor | FloatArray, by: str) -> str:
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{self.id}|{by}|{self._max_tokens}|{request.prompt}|".encode())
        values = torch.as_tensor(shown).detach().float().cpu().numpy()
        digest.update(values.tobytes())
        return f"text-{digest.hexdigest()}"
