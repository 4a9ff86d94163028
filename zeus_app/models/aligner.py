"""f_tt: from an instruction's embedding to a sparse prompt of SAM's mask decoder."""

import torch
from torch import nn

PROMPT_DIM = 256


class TextAligner(nn.Module):
    """The paper's linear dimension aligner, for instructions encoded as text.

    Instructions of one target resemble each other; the layer norm keeps what tells them apart
    from drowning in what they share.
    """

    def __init__(self, text_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, PROMPT_DIM))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(..., text_dim) -> (..., 256)."""
        prompts: torch.Tensor = self.layers(embeddings)
        return prompts


class EmbeddingAligner(TextAligner):
    """The paper's two-layer form, for instructions that are an LLM's last layer."""

    def __init__(self, llm_dim: int) -> None:
        super().__init__(llm_dim)
        self.layers.append(nn.GELU())
        self.layers.append(nn.Linear(PROMPT_DIM, PROMPT_DIM))
