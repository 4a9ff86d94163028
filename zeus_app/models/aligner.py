"""f_tt: from an instruction's embedding to a sparse prompt of SAM's mask decoder."""

import torch
from torch import nn

PROMPT_DIM = 256
LEAST_SPREAD = 0.1
BEGIN = 0.2


class TextAligner(nn.Module):
    """The paper's linear dimension aligner, for instructions encoded as text.

    Instructions of one target share most of their embedding: "left kidney" and "right kidney" have
    a cosine of 0.98. What is shared is taken out, and what differs is brought to unit scale, before
    the linear layer sees it; both are measured once, on the instructions of the training studies.
    """

    center: torch.Tensor
    spread: torch.Tensor

    def __init__(self, text_dim: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(text_dim))
        self.register_buffer("spread", torch.ones(()))
        self.layers = nn.Sequential(nn.Linear(text_dim, PROMPT_DIM))
        with torch.no_grad():  # begin near SAM's own mask token, which decodes something already
            for parameter in self.layers.parameters():
                parameter.mul_(BEGIN)

    @torch.no_grad()
    def calibrate(self, embeddings: torch.Tensor) -> None:
        """Measure what instructions share.

        Args:
            embeddings: (N, text_dim) of the training studies' instructions.
        """
        self.center.copy_(embeddings.mean(dim=0))
        # One label in one sequence has nothing to tell apart; the floor keeps the small talk of
        # its texts from being blown up to look like a difference.
        spread = (embeddings - self.center).square().mean().sqrt()
        self.spread.copy_(spread.clamp(min=LEAST_SPREAD * embeddings.square().mean().sqrt()))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(..., text_dim) -> (..., 256)."""
        prompts: torch.Tensor = self.layers((embeddings - self.center) / self.spread)
        return prompts


class EmbeddingAligner(nn.Module):
    """The paper's two-layer form, for instructions that are an LLM's last layer."""

    def __init__(self, llm_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(llm_dim),
            nn.Linear(llm_dim, PROMPT_DIM),
            nn.GELU(),
            nn.Linear(PROMPT_DIM, PROMPT_DIM),
        )

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(..., llm_dim) -> (..., 256)."""
        prompts: torch.Tensor = self.layers(embeddings)
        return prompts
