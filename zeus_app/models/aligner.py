"""f_tt: maps the embedding of an instruction to a sparse prompt of SAM's mask decoder."""

import torch
from torch import nn

from zeus_app.types import EMBEDDING_CHANNELS

TINY = 1e-12
INITIAL_SCALE = 0.2


class TextAligner(nn.Module):
    """The paper's linear dimension aligner, for instructions encoded as text.

    An embedding is centred, projected and scaled before the linear layer. `calibrate` measures all
    three on the instructions of the training studies:

    - Centring removes the part that all instructions share. Without it, "left kidney" and "right
      kidney" are nearly parallel.
    - The projection keeps the directions in which labels or sequences differ. Variation between
      texts of the same label is phrasing; a decoder that sees it overfits to individual studies.
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
        with torch.no_grad():  # start near SAM's own mask token, which already decodes to a mask
            for parameter in self.layers.parameters():
                parameter.mul_(INITIAL_SCALE)

    @torch.no_grad()
    def calibrate(self, embeddings: torch.Tensor, groups: torch.Tensor) -> None:
        """Measure the mean of the instructions and the directions in which labels differ.

        Args:
            embeddings: (N, text_dim) of the training studies' instructions.
            groups: (N,) int64; one number for each pair of label and sequence.
        """
        _, index = torch.unique(groups, return_inverse=True)
        counts = torch.bincount(index).unsqueeze(1)
        sums = embeddings.new_zeros(len(counts), embeddings.shape[1])
        means = sums.index_add_(0, index, embeddings) / counts  # (G, text_dim)
        self.center.copy_(means.mean(dim=0))
        deviations = means - self.center
        directions = torch.linalg.svd(deviations, full_matrices=False).Vh
        between = (deviations @ directions.T).square().mean(dim=0)
        within = ((embeddings - means[index]) @ directions.T).square().mean(dim=0)
        # Wiener filter: a direction is weighted by its share of variance between groups.
        share = between / (between + within).clamp(min=TINY)
        self.projection.copy_(directions.T * share @ directions)
        spread = (deviations @ self.projection).square().mean().sqrt()
        self.spread.copy_(spread if spread > TINY else torch.ones(()))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(..., text_dim) -> (..., 256)."""
        normalised = (embeddings - self.center) @ self.projection / self.spread
        prompts: torch.Tensor = self.layers(normalised)
        return prompts


class EmbeddingAligner(nn.Module):
    """The paper's two-layer aligner, for instructions that are states of an LLM's last layer."""

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
    """Text and embedding together: the sum of the two aligned prompts.

    The paper describes each form alone. The sum is ours.
    """

    def __init__(self, text_dim: int, llm_dim: int) -> None:
        super().__init__()
        self.text = TextAligner(text_dim)
        self.embedding = EmbeddingAligner(llm_dim)

    def forward(self, texts: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """(..., text_dim) text vectors and (..., llm_dim) LLM states -> (..., 256)."""
        prompts: torch.Tensor = self.text(texts) + self.embedding(embeddings)
        return prompts
