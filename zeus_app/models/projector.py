"""f_vt: from the vision-language tower's image features to tokens the LLM can read.

Every form takes (N, T, vision_dim) features, T = 1 for a pooled one, and gives (N, P, llm_dim)
image tokens.
"""

import torch
from torch import nn
from torch.nn import functional as F

from zeus_app.errors import InputError

SEED = 0
"""Of the fixed projection: one for all, so that its texts can be compared and kept."""


class VisionProjector(nn.Module):
    """The paper's two-layer MLP projection: one image token a feature (P = T).

    It has (vision_dim + llm_dim + 1) · hidden_dim + 2 · vision_dim + llm_dim parameters. Between
    MedCLIP (vision_dim 512) and a 7B LLM (llm_dim 4096), beside decoders of 3,505,568 parameters,
    the paper's totals (8.06 M in hybrid fusion, 12.44 M in late fusion of two sequences) allow:

    | instruction | aligner | widest in hybrid | widest in late | trained with it, M |
    | --- | --- | --- | --- | --- |
    | text | 131,328 | 958 | 1,148 | 8.057, 12.439 |
    | embedding | 1,122,816 | 743 | 933 | 8.058, 12.439 |
    | both | 1,254,144 | 714 | 904 | 8.056, 12.437 |

    One width serves all of these up to 714. (SAM's whole decoder, 4,058,340, would leave 838: ours
    has no IoU head, one mask token and one hypernetwork.)

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
        """(N, T, vision_dim) -> (N, T, llm_dim): one image token a feature."""
        tokens: torch.Tensor = self.layers(features)
        return tokens


class FixedProjector(nn.Module):
    """Nothing trained between vision and LLM: Table 4's rows without "LLM proj".

    The paper does not say how a 512-long feature enters an LLM of width 4096 there. Here a matrix
    with orthonormal columns, drawn once from a fixed seed, carries every feature over: lengths and
    angles stay, nothing is learnt. The matrix is a buffer, so a checkpoint holds the very one that
    the rest was trained behind.

    Args:
        vision_dim: length of an image feature.
        llm_dim: the LLM's hidden size, at least `vision_dim`.

    Raises:
        InputError: the LLM is narrower than the feature, so no map keeps all lengths.
    """

    matrix: torch.Tensor

    def __init__(self, vision_dim: int, llm_dim: int) -> None:
        super().__init__()
        if llm_dim < vision_dim:
            raise InputError(
                f"a fixed projection from {vision_dim} to {llm_dim} dimensions",
                expected="an LLM at least as wide as the image feature",
                remedy="train the projection: set the profile's vision.projection to mlp",
            )
        # On the CPU always, whose generator draws the same numbers everywhere.
        matrix = torch.empty(llm_dim, vision_dim, device="cpu")
        nn.init.orthogonal_(matrix, generator=torch.Generator("cpu").manual_seed(SEED))
        self.register_buffer("matrix", matrix)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, T, vision_dim) -> (N, T, llm_dim): one image token a feature, as long as it was."""
        return F.linear(features, self.matrix)
