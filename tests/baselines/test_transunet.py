"""TransUNet: the encoder against timm's own forward pass, and the published size."""

import math

import pytest
import torch
from torch import nn

from tests.baselines.gradients import count_parameters, parameters_without_gradient
from zeus_app.baselines.network import Network
from zeus_app.baselines.transunet import FEATURE_CHANNELS, CascadedUpsampler, build


@pytest.fixture(scope="module")
def network() -> Network:
    """For two sequences and three labels."""
    return build(2, 3)


def test_its_features_are_three_of_the_resnet_and_the_transformers_grid(network: Network) -> None:
    with torch.inference_mode():
        features = network.eval().encoder(torch.randn(1, 2, 256, 256))
    sizes = (128, 64, 32, 16)
    assert [f.shape[1:] for f in features] == [
        (channels, size, size) for channels, size in zip(FEATURE_CHANNELS, sizes, strict=True)
    ]


def test_the_coarsest_feature_is_what_timms_own_model_answers(network: Network) -> None:
    pixels = torch.randn(1, 2, 256, 256)
    vit = network.eval().encoder.get_submodule("vit")
    with torch.inference_mode():
        coarsest = network.encoder(pixels)[-1]
        tokens = vit(pixels)  # (1, 256, 768), row by row
    assert torch.allclose(coarsest[0, :, 2, 5], tokens[0, 2 * 16 + 5], atol=1e-4)


def test_a_transformer_layer_agrees_with_torchs_own(network: Network) -> None:
    block = network.eval().encoder.get_submodule("vit.blocks.0")
    reference = nn.TransformerEncoderLayer(
        768, 12, 3072, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).eval()
    names = {"self_attn.in_proj_": "attn.qkv.", "self_attn.out_proj.": "attn.proj."}
    names |= {
        "linear1.": "mlp.fc1.",
        "linear2.": "mlp.fc2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    state = block.state_dict()
    reference.load_state_dict(
        {
            ours + kind: state[timms + kind]
            for ours, timms in names.items()
            for kind in ("weight", "bias")
        }
    )
    tokens = torch.randn(1, 9, 768)
    with torch.no_grad():
        assert torch.allclose(block(tokens), reference(tokens), atol=1e-4)


def test_it_answers_logits_of_every_label_at_full_resolution(network: Network) -> None:
    with torch.inference_mode():
        logits = network.eval()(torch.randn(1, 2, 256, 256))
    assert logits.shape == (1, 3, 256, 256)


def test_the_upsampler_reads_every_feature() -> None:
    sizes = (8, 4, 2, 1)
    pairs = zip(FEATURE_CHANNELS, sizes, strict=True)
    features = [torch.randn(2, c, size, size, requires_grad=True) for c, size in pairs]
    logits = CascadedUpsampler(1)(features)
    assert logits.shape == (2, 1, 16, 16)
    assert all(gradient.any() for gradient in torch.autograd.grad(logits.sum(), features))


def test_it_runs_in_half_precision(network: Network) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        logits = network.eval()(torch.randn(1, 2, 256, 256))
    assert math.isfinite(logits.float().sum().item())


def test_a_gradient_reaches_every_parameter(network: Network) -> None:
    assert parameters_without_gradient(network, torch.randn(1, 2, 256, 256)) == []


def test_it_has_the_published_size_but_for_more_position_embeddings(network: Network) -> None:
    third_channel = 7 * 7 * 64  # of the first convolution
    more_labels = 6 * (16 * 3 * 3 + 1)  # nine instead of three
    more_positions = (16 * 16 - 14 * 14) * 768
    at_224 = count_parameters(network) + third_channel + more_labels - more_positions
    assert round(at_224 / 1e6, 2) == 105.28


def test_the_resnet_has_the_layers_that_the_paper_names(network: Network) -> None:
    backbone = network.encoder.get_submodule("vit.patch_embed.backbone")
    kinds = {type(module).__name__ for module in backbone.modules()}
    assert {"StdConv2dSame", "GroupNormAct"} <= kinds  # weight-standardised, group normalisation
    stages = backbone.get_submodule("stages").children()
    assert [len(list(stage.get_submodule("blocks").children())) for stage in stages] == [3, 4, 9]
