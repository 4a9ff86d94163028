"""What instructions share is taken out before the aligner looks at them."""

import pytest
import torch

from zeus_app.models.aligner import EmbeddingAligner, TextAligner


def embeddings(difference: float) -> torch.Tensor:
    """Two instructions that share a long vector and differ a little."""
    shared = torch.full((1, 64), 1.0)
    apart = torch.zeros(2, 64)
    apart[0, 0], apart[1, 1] = difference, difference
    return shared + apart


def test_calibration_makes_near_twins_as_different_as_strangers() -> None:
    torch.manual_seed(0)
    aligner = TextAligner(64)
    vectors = embeddings(1.0)
    aligner.calibrate(vectors)
    first, second = aligner(vectors) - aligner.layers[0].bias
    assert torch.cosine_similarity(first, second, dim=0).item() == pytest.approx(-1, abs=1e-5)


def test_calibrated_inputs_have_unit_spread() -> None:
    aligner = TextAligner(64)
    vectors = torch.randn(50, 64, generator=torch.Generator().manual_seed(0)) * 7 + 3
    aligner.calibrate(vectors)
    inputs = (vectors - aligner.center) / aligner.spread
    assert inputs.square().mean().item() == pytest.approx(1, abs=1e-5)


def test_the_small_talk_of_equal_instructions_is_not_blown_up() -> None:
    aligner = TextAligner(64)
    aligner.calibrate(embeddings(0.001))
    assert aligner.spread.item() == pytest.approx(0.1, abs=1e-3)


def test_calibration_is_part_of_a_checkpoint_but_not_learnt() -> None:
    aligner = TextAligner(64)
    assert {"center", "spread"} <= set(aligner.state_dict())
    assert {name for name, _ in aligner.named_parameters()} == {"layers.0.weight", "layers.0.bias"}


@pytest.mark.parametrize("aligner", [TextAligner(8), EmbeddingAligner(8)])
def test_any_leading_shape_is_kept(aligner: torch.nn.Module) -> None:
    assert aligner(torch.randn(2, 3, 4, 8)).shape == (2, 3, 4, 256)
