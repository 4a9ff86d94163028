"""f_vt: from the vision-language tower's image feature to a token the LLM can read."""

import torch
from torch import nn


class VisionProjector(nn.Module):
    """The paper's two-layer MLP projection, the only way an image enters the frozen LLM.

    Args:
        vision_dim: length of the image feature.
        llm_dim: the LLM's hidden size.
        hidden_dim: width between the two layers.
    """

    def __init__(self, vision_dim: int, llm_dim: int, *, hidden_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(vision_dim),
            nn.Linear(vision_dim, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, llm_dim),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, vision_dim) -> (N, 1, llm_dim): one image token a picture."""
        tokens: torch.Tensor = self.layers(features)
        return tokens[:, None, :]
