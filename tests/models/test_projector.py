"""What carries image features into the LLM, and how wide it may be."""

import pytest
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import nn

from zeus_app.errors import InputError
from zeus_app.models.aligner import BothAligner, EmbeddingAligner, TextAligner
from zeus_app.models.mask_decoder import InstructedMaskDecoder
from zeus_app.models.projector import FixedProjector, VisionProjector

MEDCLIP, VICUNA = 512, 4096
PAPER_HYBRID, PAPER_LATE = 8_060_000, 12_440_000


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.fixture(scope="module")
def decoder() -> InstructedMaskDecoder:
    """The mask decoder at its true size, without memory behind it."""
    with torch.device("meta"):
        transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
        sam = MaskDecoder(transformer_dim=256, transformer=transformer)
        return InstructedMaskDecoder(sam, PromptEncoder(256, (64, 64), (1024, 1024), 16))


def trained(
    decoder: InstructedMaskDecoder, aligner: nn.Module, *, width: int, decoders: int
) -> int:
    with torch.device("meta"):
        projector = VisionProjector(MEDCLIP, VICUNA, hidden_dim=width)
    return count(projector, aligner) + decoders * count(decoder)


@pytest.mark.parametrize(
    ("aligner", "in_hybrid", "in_late"),
    [
        (TextAligner(MEDCLIP), 958, 1148),
        (EmbeddingAligner(VICUNA), 743, 933),
        (BothAligner(MEDCLIP, VICUNA), 714, 904),
    ],
    ids=["text", "embedding", "both"],
)
def test_the_widest_projection_within_the_papers_totals(
    decoder: InstructedMaskDecoder, aligner: nn.Module, in_hybrid: int, in_late: int
) -> None:
    for width, decoders, total in ((in_hybrid, 1, PAPER_HYBRID), (in_late, 2, PAPER_LATE)):
        assert trained(decoder, aligner, width=width, decoders=decoders) <= total
        assert trained(decoder, aligner, width=width + 1, decoders=decoders) > total


def test_a_decoder_is_sams_without_iou_head_and_all_masks_but_one(
    decoder: InstructedMaskDecoder,
) -> None:
    hypernetwork = 2 * (256 * 256 + 256) + 256 * 32 + 32
    iou_head = 2 * (256 * 256 + 256) + 256 * 4 + 4
    tokens = 3 * 256 + 256  # masks 2 to 4, and the IoU's
    biases = 3 * (64 + 32)  # a doubling has its bias once for each of the four children
    assert count(decoder) == 4_058_340 - 3 * hypernetwork - iou_head - tokens + biases
    assert count(decoder) == 3_505_568


def test_each_feature_becomes_a_token_of_its_own() -> None:
    projector = VisionProjector(6, 10, hidden_dim=4)
    features = torch.randn(2, 5, 6)
    tokens = projector(features)
    assert tokens.shape == (2, 5, 10)
    torch.testing.assert_close(tokens[:, 3:4], projector(features[:, 3:4]))


def test_a_fixed_projection_keeps_lengths_and_angles() -> None:
    features = torch.randn(2, 7, 12)
    tokens = FixedProjector(12, 40)(features)
    assert tokens.shape == (2, 7, 40)
    torch.testing.assert_close(
        tokens @ tokens.transpose(1, 2), features @ features.transpose(1, 2), rtol=1e-4, atol=1e-4
    )


def test_a_fixed_projection_has_nothing_to_train() -> None:
    assert list(FixedProjector(4, 8).parameters()) == []


def test_a_fixed_projection_is_the_same_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = FixedProjector(4, 8)
    torch.manual_seed(2)
    assert torch.equal(first.matrix, FixedProjector(4, 8).matrix)


def test_a_checkpoint_holds_the_fixed_projection_it_was_trained_behind() -> None:
    assert set(FixedProjector(4, 8).state_dict()) == {"matrix"}


def test_an_llm_narrower_than_the_feature_is_refused() -> None:
    with pytest.raises(InputError, match=r"from 8 to 4 dimensions.*vision: \{projection: mlp\}"):
        FixedProjector(8, 4)
