"""f_vt: maps image features of the vision tower to image tokens of the LLM.

Every projector maps (N, T, vision_dim) features to (N, P, llm_dim) tokens; T = 1 for pooled ones.
"""

import torch
from torch import nn
from torch.nn import functional as F

from zeus_app.errors import InputError

SEED = 0
"""Seed of the fixed projection. It is constant, so that cached texts stay valid."""


class VisionProjector(nn.Module):
    """The paper's two-layer MLP projection: one image token per feature (P = T).

    It has (vision_dim + llm_dim + 1) · hidden_dim + 2 · vision_dim + llm_dim parameters. The paper
    trains 8.06 M parameters in hybrid fusion and 12.44 M in late fusion of two sequences. With
    MedCLIP (vision_dim 512), a 7B LLM (llm_dim 4096) and decoders of 3,505,568 parameters each,
    that allows at most these widths:

    | instruction | aligner | hidden_dim, hybrid | hidden_dim, late | total trained, M |
    | --- | --- | --- | --- | --- |
    | text | 131,328 | 958 | 1,148 | 8.057, 12.439 |
    | embedding | 1,122,816 | 743 | 933 | 8.058, 12.439 |
    | both | 1,254,144 | 714 | 904 | 8.056, 12.437 |

    Widths up to 714 fit all rows. SAM's whole decoder of 4,058,340 parameters would allow 838; ours
    has no IoU head, one mask token and one hypernetwork.

    Args:
        vision_dim: length of an image feature.
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
        """(N, T, vision_dim) -> (N, T, llm_dim): one image token per feature."""
        tokens: torch.Tensor = self.layers(features)
        return tokens


class FixedProjector(nn.Module):
    """A projection that is not trained: Table 4's rows without "LLM proj".

    The paper does not say how a feature of 512 numbers enters an LLM of width 4096 there. Here a
    matrix with orthonormal columns, drawn from a fixed seed, maps every feature; lengths and angles
    stay. The matrix is a buffer, so a checkpoint holds the one that it was trained with.

    Args:
        vision_dim: length of an image feature.
        llm_dim: the LLM's hidden size, at least `vision_dim`.

    Raises:
        InputError: the LLM is narrower than the feature, so no linear map keeps all lengths.
    """

    matrix: torch.Tensor

    def __init__(self, vision_dim: int, llm_dim: int) -> None:
        super().__init__()
        if llm_dim < vision_dim:
            raise InputError(
                f"a fixed projection from {vision_dim} to {llm_dim} dimensions",
                expected="an LLM at least as wide as the image feature",
                remedy="train the projection: write `vision: {projection: mlp}` into the profile",
            )
        # Always on the CPU, because its generator draws the same numbers on every machine.
        matrix = torch.empty(llm_dim, vision_dim, device="cpu")
        nn.init.orthogonal_(matrix, generator=torch.Generator("cpu").manual_seed(SEED))
        self.register_buffer("matrix", matrix)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, T, vision_dim) -> (N, T, llm_dim): one token per feature, of the same length."""
        return F.linear(features, self.matrix)
