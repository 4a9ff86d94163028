"""MISSFormer's parts against torch's attention, transformers' SegFormer, and loops by hand."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import SegformerConfig
from transformers.models.segformer.modeling_segformer import (
    SegformerAttention,
    SegformerOverlapPatchEmbeddings,
)

from zeus_app.baselines.missformer_blocks import (
    Attention,
    EfficientAttention,
    EnhancedMixFFN,
    PatchEmbedding,
    PatchExpanding,
    TransformerBlock,
    to_map,
    to_tokens,
)

SIZE = (4, 6)


def test_tokens_are_positions_row_by_row() -> None:
    features = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert to_tokens(features)[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_map_survives_the_way_to_tokens_and_back() -> None:
    features = torch.randn(2, 5, 3, 4)
    assert torch.equal(to_map(to_tokens(features), (3, 4)), features)


def test_attention_agrees_with_torchs_own() -> None:
    attention = Attention(12, heads=3)
    reference = nn.MultiheadAttention(12, 3, batch_first=True)
    reference.load_state_dict(
        {
            "in_proj_weight": torch.cat([attention.query.weight, attention.key_value.weight]),
            "in_proj_bias": torch.cat([attention.query.bias, attention.key_value.bias]),
            "out_proj.weight": attention.out.weight,
            "out_proj.bias": attention.out.bias,
        }
    )
    tokens, context = torch.randn(2, 7, 12), torch.randn(2, 5, 12)
    expected, _ = reference(tokens, context, context)
    assert torch.allclose(attention(tokens, context), expected, atol=1e-6)


def test_attention_over_fewer_keys_agrees_with_segformers() -> None:
    efficient = EfficientAttention(12, heads=3, reduction=2)
    config = SegformerConfig(attention_probs_dropout_prob=0.0)
    config._attn_implementation = "eager"
    reference = SegformerAttention(config, 12, 3, 2)
    state = efficient.state_dict()
    renamed = {
        f"{theirs}.{kind}": state[f"{ours}.{kind}"]
        for ours, theirs in {
            "attention.query": "q_proj",
            "attention.out": "o_proj",
            "reduce": "sequence_reduction.sequence_reduction",
            "norm": "sequence_reduction.layer_norm",
        }.items()
        for kind in ("weight", "bias")
    }
    for kind in ("weight", "bias"):
        key, value = state[f"attention.key_value.{kind}"].chunk(2)
        renamed |= {f"k_proj.{kind}": key, f"v_proj.{kind}": value}
    reference.load_state_dict(renamed)
    tokens = torch.randn(2, 24, 12)
    expected, _ = reference(tokens, *SIZE)
    assert torch.allclose(efficient(tokens, SIZE), expected, atol=1e-6)


def test_patch_embedding_agrees_with_segformers() -> None:
    embedding = PatchEmbedding(3, 8, size_px=7, stride_px=4)
    reference = SegformerOverlapPatchEmbeddings(7, 4, 3, 8)
    reference.load_state_dict(
        {
            "proj.weight": embedding[0].weight,
            "proj.bias": embedding[0].bias,
            "layer_norm.weight": embedding[1].weight,
            "layer_norm.bias": embedding[1].bias,
        }
    )
    pixels = torch.randn(2, 3, 32, 32)
    tokens, height, width = reference(pixels)
    assert torch.allclose(embedding(pixels), to_map(tokens, (height, width)), atol=1e-6)


def test_the_feed_forward_network_adds_what_its_convolution_read_before_the_norm() -> None:
    ffn = EnhancedMixFFN(2)
    tokens = torch.randn(1, 24, 2)
    hidden = tokens[0] @ ffn.expand.weight.T + ffn.expand.bias
    bordered = F.pad(hidden.reshape(*SIZE, 8).permute(2, 0, 1), (1, 1, 1, 1))
    kernel = ffn.depthwise.weight[:, 0]
    assert ffn.depthwise.bias is not None
    local = ffn.depthwise.bias[:, None, None] + sum(
        kernel[:, i, j, None, None] * bordered[:, i : i + 4, j : j + 6]
        for i in range(3)
        for j in range(3)
    )
    normed = F.layer_norm(hidden + local.permute(1, 2, 0).reshape(24, 8), (8,))
    expected = F.gelu(normed) @ ffn.contract.weight.T + ffn.contract.bias
    assert torch.allclose(ffn(tokens, SIZE)[0], expected, atol=1e-5)


def test_a_block_whose_branches_end_in_zeros_changes_nothing() -> None:
    block = TransformerBlock(4, heads=2, reduction=2)
    for last in (block.attention.attention.out, block.ffn.contract):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    features = torch.randn(1, 4, *SIZE)
    assert torch.equal(block(features), features)


def test_patch_expanding_lays_a_positions_outputs_out_as_a_square() -> None:
    expanding = PatchExpanding(1, 3, factor=2)
    squares = torch.tensor([[[1.0, 2], [3, 4]], [[9, 7], [5, 3]], [[2, 8], [6, 0]]])
    expanding.linear.weight.data = squares.reshape(12, 1, 1, 1)
    expanded = expanding(torch.tensor([1.0, 10]).reshape(1, 1, 1, 2))
    side_by_side = torch.cat([squares, 10 * squares], dim=2)  # (3, 2, 4)
    expected = F.layer_norm(side_by_side.permute(1, 2, 0), (3,)).permute(2, 0, 1)
    assert torch.allclose(expanded[0], expected, atol=1e-5)


def test_patch_expanding_multiplies_the_resolution() -> None:
    assert PatchExpanding(4, 8, factor=4)(torch.randn(1, 4, 2, 3)).shape == (1, 8, 8, 12)
