"""ImageNet weights for TransUNet's encoder, from timm's hub repository or from a file.

The paper starts from a hybrid ViT that was trained on ImageNet-21k. timm publishes these weights as
`timm/vit_base_r50_s16_224.orig_in21k` (Apache-2.0). Without them the network starts from random
weights, and the benchmark's row says so.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from zeus_app.baselines.transunet import TransUNetEncoder
from zeus_app.errors import InputError

REPOSITORY = "timm/vit_base_r50_s16_224.orig_in21k"
FILE = "model.safetensors"
FIRST_CONVOLUTION = "patch_embed.backbone.stem.conv.weight"
NOT_IN_TRANSUNET = ("cls_token", "head.weight", "head.bias")


def start_from_imagenet(network: nn.Module, file: Path | None = None) -> str:
    """Load ImageNet weights into every TransUNet encoder of a network, where they can be had.

    Args:
        network: a TransUNet, or a fusion of several.
        file: weights of timm's `vit_base_r50_s16_224` (.safetensors or .pth); None: from the hub.

    Returns:
        One line for the benchmark's row: which weights the encoder starts from, or why none.

    Raises:
        InputError: `file` has weights of another network, or does not exist.
    """
    try:
        path = _download() if file is None else file
    except InputError as error:
        return f"no ImageNet weights: {error.came}"
    state = _read(path)
    for module in network.modules():
        if isinstance(module, TransUNetEncoder):
            _load(module, state, path)
    return f"ImageNet weights: {REPOSITORY if file is None else file.name}"


def _download() -> Path:
    """The file in the hub's cache on this machine.

    Raises:
        InputError: the hub is not reachable, and the cache has no such file.
    """
    import httpx2
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(REPOSITORY, FILE))
    except (OSError, httpx2.HTTPError) as error:
        raise InputError(
            f"the hub did not give {FILE} of {REPOSITORY} ({type(error).__name__})",
            expected="a reachable hub, or the file in the hub's cache",
            remedy="check the network (and HF_ENDPOINT), or name a file of these weights",
        ) from error


def _read(path: Path) -> dict[str, torch.Tensor]:
    from timm.models import load_state_dict

    if not path.is_file():
        raise InputError(
            f"no file {path}",
            expected=f"weights of timm's {REPOSITORY}",
            remedy=f"download {FILE} from https://huggingface.co/{REPOSITORY}",
        )
    return dict(load_state_dict(str(path)))


def _load(encoder: TransUNetEncoder, state: dict[str, torch.Tensor], path: Path) -> None:
    vit = encoder.vit
    try:
        vit.load_state_dict(_adapt(state, vit))
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"{path.name} has weights of another network",
            expected=f"weights of timm's {REPOSITORY}",
            remedy=f"download {FILE} from https://huggingface.co/{REPOSITORY}",
        ) from error


def _adapt(state: dict[str, torch.Tensor], vit: Any) -> dict[str, torch.Tensor]:
    """Weights for three channels and 14 x 14 tokens -> for this encoder's channels and 16 x 16.

    timm sums the three channels for one sequence, and repeats and scales them for several.
    Position embeddings are interpolated, as in the paper.

    Raises:
        KeyError: the first convolution or the position embeddings are missing.
    """
    from timm.layers import resample_abs_pos_embed
    from timm.models import adapt_input_conv

    adapted = {name: value for name, value in state.items() if name not in NOT_IN_TRANSUNET}
    channels = vit.patch_embed.backbone.stem.conv.weight.shape[1]
    adapted[FIRST_CONVOLUTION] = adapt_input_conv(channels, state[FIRST_CONVOLUTION])
    positions = state["pos_embed"][:, -14 * 14 :]  # the first is the class token's
    adapted["pos_embed"] = resample_abs_pos_embed(
        positions, list(vit.patch_embed.grid_size), num_prefix_tokens=0
    )
    return adapted
