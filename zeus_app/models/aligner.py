"""f_tt: from an instruction's embedding to a sparse prompt of SAM's mask decoder."""

import torch
from torch import nn

from zeus_app.types import EMBEDDING_CHANNELS

TINY = 1e-12
BEGIN = 0.2


class TextAligner(nn.Module):
    """The paper's linear dimension aligner, for instructions encoded as text.

    Before the linear layer sees an embedding it is centred, projected and scaled, by what
    `calibrate` measured on the training studies' instructions:

    - what all of them share is taken out ("left kidney" and "right kidney" are nearly parallel);
    - only the directions in which the instructions of different labels or sequences differ are
      kept. What varies from study to study within one of them is an LLM's small talk, by which a
      decoder would learn to recognise its training studies instead of looking at them.
    """

    center: torch.Tensor
    projection: torch.Tensor
    spread: torch.Tensor

    def __init__(self, text_dim: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(text_dim))
        self.register_buffer("projection", torch.eye(text_dim))
        self.register_buffer("spread", torch.ones(()))
        self.layers = nn.Sequential(nn.Linear(text_dim, EMBEDDING_CHANNELS))
        with torch.no_grad():  # begin near SAM's own mask token, which decodes something already
            for parameter in self.layers.parameters():
                parameter.mul_(BEGIN)

    @torch.no_grad()
    def calibrate(self, embeddings: torch.Tensor, groups: torch.Tensor) -> None:
        """Measure what instructions share, and in which directions their meanings differ.

        Args:
            embeddings: (N, text_dim) of the training studies' instructions.
            groups: (N,) equal for instructions of one label in one sequence.
        """
        _, index = torch.unique(groups, return_inverse=True)
        counts = torch.bincount(index).unsqueeze(1)
        sums = embeddings.new_zeros(len(counts), embeddings.shape[1])
        means = sums.index_add_(0, index, embeddings) / counts  # (G, text_dim)
        self.center.copy_(means.mean(dim=0))
        apart = means - self.center
        directions = torch.linalg.svd(apart, full_matrices=False).Vh
        between = (apart @ directions.T).square().mean(dim=0)
        within = ((embeddings - means[index]) @ directions.T).square().mean(dim=0)
        # The Wiener filter: a direction counts by its share of meaning.
        share = between / (between + within).clamp(min=TINY)
        self.projection.copy_(directions.T * share @ directions)
        spread = (apart @ self.projection).square().mean().sqrt()
        self.spread.copy_(spread if spread > TINY else torch.ones(()))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(..., text_dim) -> (..., 256)."""
        told_apart = (embeddings - self.center) @ self.projection / self.spread
        prompts: torch.Tensor = self.layers(told_apart)
        return prompts


class EmbeddingAligner(nn.Module):
    """The paper's two-layer form, for instructions that are an LLM's last layer."""

    def __init__(self, llm_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(llm_dim),
            nn.Linear(llm_dim, EMBEDDING_CHANNELS),
            nn.GELU(),
            nn.Linear(EMBEDDING_CHANNELS, EMBEDDING_CHANNELS),
        )

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(..., llm_dim) -> (..., 256)."""
        prompts: torch.Tensor = self.layers(embeddings)
        return prompts


class BothAligner(nn.Module):
    """Text and embedding together: the sum of the two prompts, each aligned as it is alone.

    The paper offers either form; that they are added is ours.
    """

    def __init__(self, text_dim: int, llm_dim: int) -> None:
        super().__init__()
        self.text = TextAligner(text_dim)
        self.embedding = EmbeddingAligner(llm_dim)

    def forward(self, texts: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """(..., text_dim) text vectors and (..., llm_dim) last layers -> (..., 256)."""
        prompts: torch.Tensor = self.text(texts) + self.embedding(embeddings)
        return prompts
