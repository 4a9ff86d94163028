"""The bridge: how levels become one sequence, and that every level reads every other."""

import torch
from torch import nn

from zeus_app.baselines.missformer_bridge import BridgeLayer, ContextBridge, Levels

CHANNELS = (4, 8, 20, 32)
SIZES = ((16, 16), (8, 8), (4, 4), (2, 2))
REDUCTIONS = (8, 4, 2, 1)


def some_features() -> list[torch.Tensor]:
    pairs = zip(CHANNELS, SIZES, strict=True)
    return [torch.randn(1, channels, *size) for channels, size in pairs]


def test_a_coarse_position_becomes_several_tokens_in_a_row() -> None:
    fine = torch.tensor([[[1.0, 2], [3, 4]]])  # two positions of two channels
    coarse = torch.tensor([[[5.0, 6, 7, 8]]])  # one position of four channels
    joined = Levels((2, 4)).join([fine, coarse])
    assert joined[0].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_levels_survive_being_joined_and_split() -> None:
    levels = Levels(CHANNELS)
    tokens = [feature.flatten(2).transpose(1, 2) for feature in some_features()]
    again = levels.split(levels.join(tokens), SIZES)
    assert all(torch.equal(*pair) for pair in zip(tokens, again, strict=True))


def test_keys_are_reduced_to_the_coarsest_grid_of_every_level() -> None:
    layer = BridgeLayer(Levels(CHANNELS), REDUCTIONS)
    seen: list[torch.Size] = []
    layer.attention.key_value.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape))
    tokens = torch.randn(1, 256 + 2 * 64 + 5 * 16 + 8 * 4, 4)
    layer(tokens, SIZES)
    assert seen == [(1, 4 * (1 + 2 + 5 + 8), 4)]


def test_without_reductions_a_layer_is_torchs_self_attention() -> None:
    layer = BridgeLayer(Levels((4, 8)), (1, 1))
    for ffn in layer.ffns:
        nn.init.zeros_(ffn.get_parameter("contract.weight"))
        nn.init.zeros_(ffn.get_parameter("contract.bias"))
    reference = nn.MultiheadAttention(4, 1, batch_first=True)
    ours = layer.attention
    reference.load_state_dict(
        {
            "in_proj_weight": torch.cat([ours.query.weight, ours.key_value.weight]),
            "in_proj_bias": torch.cat([ours.query.bias, ours.key_value.bias]),
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    tokens = torch.randn(1, 16 + 2 * 4, 4)
    normed = layer.attention_norm(tokens)
    context = layer.context_norm(normed)
    expected = tokens + reference(normed, context, context)[0]
    assert torch.allclose(layer(tokens, ((4, 4), (2, 2))), expected, atol=1e-5)


def test_the_bridge_keeps_the_shapes_of_the_features() -> None:
    features = some_features()
    bridged = ContextBridge(CHANNELS, REDUCTIONS, depth=2)(features)
    assert [b.shape for b in bridged] == [f.shape for f in features]


def test_every_level_reads_every_other() -> None:
    features = [feature.requires_grad_() for feature in some_features()]
    for level in ContextBridge(CHANNELS, REDUCTIONS, depth=1)(features):
        gradients = torch.autograd.grad(level.square().sum(), features, retain_graph=True)
        assert all(gradient.any() for gradient in gradients)
