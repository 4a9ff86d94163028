"""MiniLM: a small sentence encoder. It was not trained on medical texts or images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zeus_app.errors import InputError
from zeus_app.storage.artifacts import sha256_of
from zeus_app.types import FloatArray

LONGEST_TOKENS = 256  # as in the training of all-MiniLM-L6-v2
MINILM_L6 = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
"""The fields in which its config.json differs from BERT-base's."""


class MiniLmEncoder:
    """all-MiniLM-L6-v2 behind `protocols.TextEncoder`: mean of the token states, not normalised."""

    id: str
    dim: int

    def __init__(self, weights: Path, *, device: torch.device | str = "cpu") -> None:
        """Load the encoder.

        Args:
            weights: model.safetensors, with its configuration and tokenizer beside it.
            device: where it runs, always in float32.

        Raises:
            InputError: the folder holds no MiniLM.
        """
        # Imported here because transformers takes seconds to import.
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # a server's log is no terminal
        folder = weights.parent
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModel.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32
            )
        except Exception as error:  # transformers raises many kinds
            raise InputError(
                f"{folder} holds no sentence encoder: {str(error)[:200]}",
                expected="model.safetensors, config.json and the tokenizer's files",
                remedy="run `zeus weights get minilm-l6`",
            ) from error
        self._device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self._device)
        self.dim = int(model.config.hidden_size)
        self.id = f"minilm-l6-{sha256_of(weights)[:12]}"

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> FloatArray:
        """N texts, each cut to 256 tokens -> (N, dim) float32.

        The vector of a text is the mean over its own tokens, so padding does not change it.
        """
        if not texts:
            return torch.zeros(0, self.dim).numpy()
        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=LONGEST_TOKENS,
            return_tensors="pt",
        ).to(self._device)
        states = self._model(**tokens).last_hidden_state  # (N, T, dim)
        mask = tokens["attention_mask"][..., None].to(states.dtype)  # (N, T, 1)
        vectors: FloatArray = ((states * mask).sum(1) / mask.sum(1)).cpu().numpy()
        return vectors


def skeleton() -> nn.Module:
    """MiniLM without weights, on torch's meta device: 22,713,216 parameters."""
    from transformers import BertConfig, BertModel

    with torch.device("meta"):
        bert: nn.Module = BertModel(BertConfig(**MINILM_L6))
    return bert
