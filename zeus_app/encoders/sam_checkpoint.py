"""Checkpoints of SAM: segment-anything's .pth files and transformers' `SamModel` repositories.

Both become one dictionary in segment-anything's key layout. The sizes of the network come from the
shapes of the tensors, not from the file's name or its config.json.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from zeus_app.errors import InputError
from zeus_app.types import EMBEDDING_CELLS, EMBEDDING_CHANNELS

EXPECTED = (
    "SAM or MedSAM in segment-anything's layout (.pth), or a repository of transformers' SamModel"
    " (model.safetensors or pytorch_model.bin)"
)
REMEDY = (
    "download the checkpoint again, for example with `zeus weights get sam-vit-b`, or name another"
    " image encoder in the profile"
)


@dataclass(frozen=True)
class VitSizes:
    """The sizes of a SAM image encoder.

    Attributes:
        width: numbers per token.
        depth: number of blocks.
        heads: attention heads per block.
        global_blocks: blocks with attention to the whole picture; the others use windows.
        mlp_width: width of a block's hidden layer.
        window: edge of a window, in tokens.
        patch_px: edge of the square that becomes a token.
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    mlp_width: int
    window: int = 14
    patch_px: int = 16

    @property
    def input_px(self) -> int:
        """Edge of the network's input, in pixels."""
        return EMBEDDING_CELLS * self.patch_px


SIZES = {  # segment-anything's build_sam.py
    "vit_b": VitSizes(768, 12, 12, (2, 5, 8, 11), mlp_width=3072),
    "vit_l": VitSizes(1024, 24, 16, (5, 11, 17, 23), mlp_width=4096),
    "vit_h": VitSizes(1280, 32, 16, (7, 15, 23, 31), mlp_width=5120),
}

# From transformers' names to segment-anything's, in this order. All other names are the same.
# The last three rows are for MLPs, whose first and last layer have special names in transformers.
_RENAMES = (
    (r"^shared_image_embedding\.", "prompt_encoder.shared_embedding."),
    (r"^vision_encoder\.", "image_encoder."),
    (r"^(image_encoder)\.layers\.", r"\1.blocks."),
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
    (r"\.neck\.conv1\.", ".neck.0."),
    (r"\.neck\.layer_norm1\.", ".neck.1."),
    (r"\.neck\.conv2\.", ".neck.2."),
    (r"\.neck\.layer_norm2\.", ".neck.3."),
    (r"\.shared_embedding\.positional_embedding$", ".pe_layer.positional_encoding_gaussian_matrix"),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"\.layer_norm(\d|_final_attn)\.", r".norm\1."),
    (r"(_mlps\.\d|_head)\.layers\.0\.", r"\1.layers.1."),
    (r"(_mlps\.\d|_head)\.proj_in\.", r"\1.layers.0."),
    (r"(_mlps\.\d|_head)\.proj_out\.", r"\1.layers.2."),
)


def parameters_file(weights: Path) -> Path:
    """The file that holds the parameters: `weights` itself, or the one in the folder `weights`.

    Raises:
        InputError: there is no such file.
    """
    choices = [weights, weights / "model.safetensors", weights / "pytorch_model.bin"]
    for path in choices:
        if path.is_file():
            return path
    raise InputError(
        f"{weights} is neither a file nor a folder with model.safetensors or pytorch_model.bin",
        expected=EXPECTED,
        remedy="check the path, or download the checkpoint, for example with `zeus weights get"
        " sam-vit-b`",
    )


def read(file: Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint into segment-anything's key layout, float32, on the CPU.

    Raises:
        InputError: the file cannot be read, or holds no SAM.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
        if any(key.startswith("vision_encoder.") for key in state):
            state = {_renamed(key): value for key, value in state.items()}
    except Exception as error:  # unpickling and reading raise many kinds
        raise InputError(
            f"{file} cannot be read: {str(error)[:200]}", expected=EXPECTED, remedy=REMEDY
        ) from error
    if "image_encoder.pos_embed" not in state:
        first = ", ".join(sorted(state)[:3])
        raise InputError(
            f"{file} holds {len(state)} entries ({first}, ...) and no SAM image encoder",
            expected=EXPECTED,
            remedy=REMEDY,
        )
    return {key: value.float() for key, value in state.items()}


def sizes_of(state: Mapping[str, torch.Tensor]) -> VitSizes:
    """Read the sizes of an image encoder from the shapes of its tensors.

    Args:
        state: a checkpoint in segment-anything's layout; its tensors may be on the meta device.

    Raises:
        InputError: tensors are missing, or the embedding is not 256 x 64 x 64.
    """
    try:
        grid = tuple(state["image_encoder.pos_embed"].shape[1:3])
        width, _, patch_px, _ = state["image_encoder.patch_embed.proj.weight"].shape
        depth = len({key.split(".")[2] for key in state if key.startswith("image_encoder.blocks.")})
        # A table of relative positions covers the attended square: (2 edges - 1, width of a head).
        tables = [state[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape for i in range(depth)]
        edges = [(rows + 1) // 2 for rows, _ in tables]
        sizes = VitSizes(
            width=width,
            depth=depth,
            heads=width // tables[0][1],
            global_blocks=tuple(i for i, edge in enumerate(edges) if edge == EMBEDDING_CELLS),
            mlp_width=state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0],
            window=min(edges),
            patch_px=patch_px,
        )
        channels = state["image_encoder.neck.0.weight"].shape[0]
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(
            f"a SAM checkpoint with other tensors than SAM's: {error!r}",
            expected=EXPECTED,
            remedy=REMEDY,
        ) from error
    if (channels, *grid) != (EMBEDDING_CHANNELS, EMBEDDING_CELLS, EMBEDDING_CELLS):
        raise InputError(
            f"an image encoder with embeddings of {channels} x {grid[0]} x {grid[1]}",
            expected=f"{EMBEDDING_CHANNELS} x {EMBEDDING_CELLS} x {EMBEDDING_CELLS}, as SAM's",
            remedy=REMEDY,
        )
    return sizes


def fill(
    module: nn.Module, state: Mapping[str, torch.Tensor], *, prefix: str, source: Path
) -> None:
    """Load a module's part of a checkpoint. The checkpoint's tensors become the module's.

    Args:
        module: a segment-anything module; may be on the meta device.
        state: a checkpoint in segment-anything's layout.
        prefix: of the module's keys, for example "mask_decoder.".
        source: the file, for the message.

    Raises:
        InputError: tensors are missing, left over or of another shape.
    """
    part = {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
    try:
        module.load_state_dict(part, strict=True, assign=True)
    except RuntimeError as error:
        raise InputError(
            f"{source} does not hold SAM's {prefix.rstrip('.')}: {str(error)[:200]}",
            expected=EXPECTED,
            remedy=REMEDY,
        ) from error


def _renamed(key: str) -> str:
    for pattern, replacement in _RENAMES:
        key = re.sub(pattern, replacement, key)
    return key
