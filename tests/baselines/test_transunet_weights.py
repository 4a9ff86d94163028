"""ImageNet weights for TransUNet, from a file made like timm's, and without a hub.

The transformer is narrow here, so that the files are small.
"""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from zeus_app.baselines.transunet import TIMM_MODEL, TransUNetEncoder
from zeus_app.baselines.transunet_weights import FIRST_CONVOLUTION, start_from_imagenet
from zeus_app.errors import InputError

NARROW = {"embed_dim": 12, "depth": 1, "num_heads": 2, "num_classes": 0}


def an_encoder(channels: int) -> TransUNetEncoder:
    """As in TransUNet, with fresh weights."""
    model = timm.create_model(
        TIMM_MODEL, img_size=256, in_chans=channels, class_token=False, global_pool="", **NARROW
    )
    return TransUNetEncoder(model)


@pytest.fixture(scope="module")
def published() -> Any:
    """The model as timm publishes it: three channels, 224 pixels, a class token."""
    return timm.create_model(TIMM_MODEL, **NARROW)


@pytest.fixture
def file(published: Any, tmp_path: Path) -> Path:
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_the_transformer_takes_the_files_weights(published: Any, file: Path) -> None:
    encoder = an_encoder(3)
    assert start_from_imagenet(encoder, file) == "ImageNet weights: model.safetensors"
    for name in ("blocks.0.mlp.fc1.weight", FIRST_CONVOLUTION):
        assert torch.equal(encoder.vit.state_dict()[name], published.state_dict()[name])


def test_one_sequence_takes_the_sum_of_the_three_channels(published: Any, file: Path) -> None:
    encoder = an_encoder(1)
    start_from_imagenet(encoder, file)
    expected = published.state_dict()[FIRST_CONVOLUTION].sum(dim=1, keepdim=True)
    assert torch.allclose(encoder.vit.state_dict()[FIRST_CONVOLUTION], expected)


def test_position_embeddings_are_stretched_over_more_tokens(published: Any, file: Path) -> None:
    published.pos_embed.data[:, 1:] = (
        torch.arange(14.0)[None, :, None, None].expand(1, 14, 14, 12).reshape(1, 196, 12)
    )  # the row's number
    save_file(published.state_dict(), file)
    encoder = an_encoder(3)
    start_from_imagenet(encoder, file)
    rows = encoder.vit.pos_embed[0, :, 0].reshape(16, 16)
    assert torch.allclose(rows, rows[:, :1].expand(16, 16), atol=1e-4)  # no change along a row
    assert (rows[1:, 0] > rows[:-1, 0]).all()


def test_every_encoder_of_a_fusion_is_loaded(published: Any, file: Path) -> None:
    first, second = an_encoder(1), an_encoder(1)
    start_from_imagenet(nn.ModuleList([first, second]), file)
    for encoder in (first, second):
        assert torch.equal(encoder.vit.patch_embed.proj.weight, published.patch_embed.proj.weight)


def test_the_row_says_when_the_hub_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    line = start_from_imagenet(an_encoder(1))
    assert line.startswith("no ImageNet weights: the hub did not give model.safetensors")


def test_a_file_from_the_hub_is_loaded(
    published: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: str(file))
    encoder = an_encoder(3)
    line = start_from_imagenet(encoder)
    assert line == "ImageNet weights: timm/vit_base_r50_s16_224.orig_in21k"
    assert torch.equal(encoder.vit.patch_embed.proj.weight, published.patch_embed.proj.weight)


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*absent.safetensors"):
        start_from_imagenet(an_encoder(1), tmp_path / "absent.safetensors")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="weights of another network"):
        start_from_imagenet(an_encoder(1), tmp_path / "other.safetensors")
