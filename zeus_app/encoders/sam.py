"""SAM and MedSAM: segment-anything's image encoder (ViT-B, L, H), prompt encoder and mask decoder.

segment-anything's classes run checkpoints of both layouts: segment-anything's and transformers'.
"""

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder
from torch import nn
from torch.nn import functional as F

from zeus_app.encoders import fastest_runtime
from zeus_app.encoders.runtime import Stage
from zeus_app.encoders.sam_checkpoint import (
    SIZES,
    VitSizes,
    fill,
    parameters_file,
    read,
    sizes_of,
)
from zeus_app.encoders.sam_parts import build_prompt_encoder_and_decoder, embed
from zeus_app.encoders.sample_masks import sample_masks
from zeus_app.errors import InputError
from zeus_app.settings.config import EncoderRuntime
from zeus_app.settings.registry import lookup
from zeus_app.storage.artifacts import sha256_of
from zeus_app.types import EMBEDDING_CHANNELS, PICTURE_PX, FloatArray

Normalisation = Literal["sam", "medsam"]


class SamEncoder:
    """The frozen image encoder of SAM or MedSAM, behind `protocols.ImageEncoder`.

    `runtime` gives the same embeddings in float32: (N, 256, 256) -> (N, 256, 64, 64).
    """

    id: str

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device | str = "cpu",
        runtime: EncoderRuntime = "auto",
        normalisation: Normalisation = "sam",
        size: str | None = None,
    ) -> None:
        """Load the encoder and prepare it for this machine.

        Args:
            weights: a .pth of SAM or MedSAM, a repository folder of transformers' `SamModel`, or
                the file with the parameters in such a folder.
            device: where PyTorch runs it.
            runtime: "auto" is the fastest one. On a CPU it is measured once and saved beside the
                weights.
            normalisation: "sam" (`SamPixels`) or "medsam" (`MedSamPixels`).
            size: a key of `SIZES` that the checkpoint must have; None accepts every size.

        Raises:
            InputError: the file holds no SAM or one of another size, or the runtime cannot run on
                this machine.
            UnknownNameError: no such normalisation or size.
        """
        pixels = lookup("normalisation", normalisation, _PIXELS)
        file = parameters_file(weights)
        network, sizes = _load_image_encoder(file, size)
        digest = sha256_of(file)[:12]
        self.runtime = fastest_runtime.make_runtime(
            fastest_runtime.RuntimeInputs(
                (
                    Stage("pixels", pixels(sizes.input_px), tolerates_bf16=False),
                    Stage("vit", network, tolerates_bf16=True),
                ),
                torch.zeros(1, PICTURE_PX, PICTURE_PX),
                device=torch.device(device),
                artifacts=file.with_name(f"{file.stem}-{digest}-{normalisation}"),
            ),
            name=runtime,
            masks=partial(sample_masks, load=partial(load_prompt_encoder_and_decoder, file)),
        )
        self.id = f"sam-{digest}-{normalisation}-{self.runtime.id}"

    def encode(self, pictures: FloatArray) -> FloatArray:
        """Turn pictures into SAM image embeddings.

        Args:
            pictures: (N, 256, 256) float32 in [0, 1]; the channel is repeated as R, G and B.

        Returns:
            (N, 256, 64, 64) float16.
        """
        return embed(self.runtime, pictures, name="SAM")


def load_prompt_encoder_and_decoder(weights: Path) -> tuple[PromptEncoder, MaskDecoder]:
    """Build segment-anything's prompt encoder and mask decoder with a checkpoint's parameters.

    Args:
        weights: as for `SamEncoder`.

    Returns:
        Both float32, on the CPU, trainable, in eval mode. Boxes and points are in pixels of the
        network's input, 1024x1024 (`PromptEncoder.input_image_size`); masks come out as
        (N, 1 or 3, 256, 256) logits.

    Raises:
        InputError: the file does not hold SAM's parameters.
    """
    file = parameters_file(weights)
    state = read(file)
    prompt_encoder, decoder = build_prompt_encoder_and_decoder(sizes_of(state).input_px)
    fill(prompt_encoder, state, prefix="prompt_encoder.", source=file)
    fill(decoder, state, prefix="mask_decoder.", source=file)
    return prompt_encoder, decoder


def skeleton(size: str) -> ImageEncoderViT:
    """The image encoder without weights, on torch's meta device.

    Args:
        size: "vit_b", "vit_l" or "vit_h".

    Raises:
        UnknownNameError: no such size.
    """
    return _on_meta(lookup("size of SAM", size, SIZES))


class SamPixels(nn.Module):
    """Pictures (N, 256, 256) in [0, 1] -> (N, 3, edge, edge) as in SAM's training.

    Grey levels from 0 to 255 are enlarged bilinearly, then normalised with SAM's mean and standard
    deviation. segment-anything's `ResizeLongestSide` does the same with a square picture, because
    its antialiasing acts on reductions alone. It also rounds to 8 bits before and after; this class
    does not.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, edge_px: int) -> None:
        super().__init__()
        self._edge_px = edge_px
        # segment-anything's build_sam.py: the statistics of ImageNet, R, G, B.
        mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, 3, 1, 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Resize and normalise."""
        size = (self._edge_px, self._edge_px)
        grey = F.interpolate(255 * pictures[:, None], size, mode="bilinear", align_corners=False)
        return (grey - self.mean) / self.std  # (N, 3, edge, edge)


class MedSamPixels(nn.Module):
    """Pictures (N, 256, 256) in [0, 1] -> (N, 3, edge, edge) as in MedSAM's training.

    Each picture is enlarged by a cubic spline, clipped to its own range, and stretched to [0, 1].
    MedSAM's scripts call skimage's `resize(order=3)`. It is linear and separable, so one matrix for
    rows and columns replaces it here. The scripts also round to 8 bits in between; this class does
    not.
    """

    spline: torch.Tensor

    def __init__(self, edge_px: int) -> None:
        super().__init__()
        # The call inside resize(), applied to the unit matrix.
        spline = ndimage.zoom(
            np.eye(PICTURE_PX), (edge_px / PICTURE_PX, 1), order=3, mode="mirror", grid_mode=True
        )
        self.register_buffer("spline", torch.from_numpy(spline).float())  # (edge, 256)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Resize and normalise."""
        grey = self.spline @ pictures @ self.spline.T  # (N, edge, edge)
        grey = grey.clamp(_darkest(pictures), _brightest(pictures))
        darkest = _darkest(grey)
        # 1e-8 as in MedSAM's scripts: a picture of one grey level becomes 0.
        grey = (grey - darkest) / (_brightest(grey) - darkest).clamp(min=1e-8)
        return grey[:, None].expand(-1, 3, -1, -1)


_PIXELS: dict[str, type[SamPixels] | type[MedSamPixels]] = {
    "sam": SamPixels,
    "medsam": MedSamPixels,
}


def _darkest(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.amin((1, 2), keepdim=True)  # (N, 1, 1)


def _brightest(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.amax((1, 2), keepdim=True)  # (N, 1, 1)


def _on_meta(sizes: VitSizes) -> ImageEncoderViT:
    with torch.device("meta"):
        return ImageEncoderViT(
            img_size=sizes.input_px,
            patch_size=sizes.patch_px,
            embed_dim=sizes.width,
            depth=sizes.depth,
            num_heads=sizes.heads,
            # The class multiplies and rounds down; 0.5 keeps a width that is no multiple.
            mlp_ratio=(sizes.mlp_width + 0.5) / sizes.width,
            out_chans=EMBEDDING_CHANNELS,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=sizes.window,
            global_attn_indexes=sizes.global_blocks,
        )


def _load_image_encoder(file: Path, size: str | None) -> tuple[ImageEncoderViT, VitSizes]:
    state = read(file)
    sizes = sizes_of(state)
    if size is not None and sizes != lookup("size of SAM", size, SIZES):
        actual = next((name for name, values in SIZES.items() if values == sizes), str(sizes))
        raise InputError(
            f"{file} holds a SAM of size {actual}",
            expected=f"{size}, which the profile names",
            remedy="write that size into the profile, for example `image_encoder: {size: vit_h}`,"
            " or name other weights",
        )
    # Built on the meta device, so that ViT-H does not draw 2.5 GB of random numbers first.
    network = _on_meta(sizes)
    fill(network, state, prefix="image_encoder.", source=file)
    return network.eval().requires_grad_(False), sizes
