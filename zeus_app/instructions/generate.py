"""Which instructions a study needs, and writing each of them once."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from zeus_app.progress import Report
from zeus_app.protocols import LanguageModel, Store
from zeus_app.types import BoolArray

BATCH = 8


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
        scope: "slice": every slice with tissue; "series": the middle one of them stands for all.

    Returns:
        M lists of slice indices; empty for a sequence without tissue.
    """
    shown = [[int(s) for s in np.flatnonzero(row)] for row in tissue]
    if scope == "slice":
        return shown
    return [row[len(row) // 2 : len(row) // 2 + 1] for row in shown]


class InstructionWriter:
    """The frozen LLM behind a store: no text is written twice.

    Args:
        llm_id: names the LLM's weights, for keys; known before the LLM is loaded.
        load_llm: makes the LLM; called only when a text is missing.
        store: keeps texts between runs.
        max_tokens: the longest instruction.
    """

    def __init__(
        self, *, llm_id: str, load_llm: Callable[[], LanguageModel], store: Store, max_tokens: int
    ) -> None:
        self.id = llm_id
        self._load_llm = load_llm
        self._store = store
        self._max_tokens = max_tokens

    @cached_property
    def llm(self) -> LanguageModel:
        """The LLM, loaded at first need: with every text kept it is never needed."""
        return self._load_llm()

    def write(
        self, requests: Sequence[Request], image_tokens: torch.Tensor, *, report: Report
    ) -> list[str]:
        """The texts for `requests`.

        Args:
            requests: N of them.
            image_tokens: (N, P, hidden), what the projection made of each one's picture.
            report: told about each batch.
        """
        pairs = zip(requests, image_tokens, strict=True)
        keys = [self._key(request, tokens) for request, tokens in pairs]
        texts = {key: self._store.get_text(key) for key in keys}
        missing = [i for i, key in enumerate(keys) if texts[key] is None]
        missing = list({keys[i]: i for i in missing}.values())
        for start in range(0, len(missing), BATCH):
            report("instructions", start, len(missing))
            rows = missing[start : start + BATCH]
            written = self.llm.write(
                image_tokens[rows],
                [requests[i].prompt for i in rows],
                max_tokens=self._max_tokens,
            )
            for i, text in zip(rows, written, strict=True):
                texts[keys[i]] = text
                self._store.put_text(keys[i], text)
        return [texts[key] or "" for key in keys]

    def _key(self, request: Request, tokens: torch.Tensor) -> str:
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{self.id}|{self._max_tokens}|{request.prompt}|".encode())
        digest.update(tokens.detach().float().cpu().numpy().tobytes())
        return f"text-{digest.hexdigest()}"
