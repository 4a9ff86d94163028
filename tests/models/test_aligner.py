"""Aligner: the shared part of instructions and their phrasing are removed first."""

import pytest
import torch

from zeus_app.models.aligner import BothAligner, EmbeddingAligner, TextAligner

DIM = 64
LEFT, RIGHT = 0, 1


def instructions(
    *, difference: float, scale: float = 0.0, studies: int = 10
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two labels that share a long vector and differ along axes 0 and 1; phrasing is elsewhere."""
    phrasing = torch.randn(2 * studies, DIM, generator=torch.Generator().manual_seed(0)) * scale
    phrasing[:, :2] = 0
    groups = torch.tensor([LEFT, RIGHT] * studies)
    vectors = torch.ones(2 * studies, DIM) + phrasing
    vectors[groups == LEFT, 0] += difference
    vectors[groups == RIGHT, 1] += difference
    return vectors, groups


def normalised(aligner: TextAligner, vectors: torch.Tensor) -> torch.Tensor:
    prompts: torch.Tensor = aligner(vectors) - aligner.layers[0].bias
    return prompts


def test_two_nearly_parallel_labels_become_opposites_of_unit_scale() -> None:
    vectors, groups = instructions(difference=0.01)
    aligner = TextAligner(DIM)
    aligner.calibrate(vectors, groups)
    inputs = (vectors - aligner.center) @ aligner.projection / aligner.spread
    assert inputs.square().mean().item() == pytest.approx(1, rel=1e-3)
    left, right = normalised(aligner, vectors[:2])
    assert torch.cosine_similarity(left, right, dim=0).item() == pytest.approx(-1, abs=1e-4)


def test_variation_within_a_label_does_not_reach_the_decoder() -> None:
    vectors, groups = instructions(difference=1.0, scale=1.0, studies=200)
    aligner = TextAligner(DIM)
    aligner.calibrate(vectors, groups)
    before = vectors[groups == LEFT] - vectors.mean(dim=0)
    after = normalised(aligner, vectors[groups == LEFT])
    assert noise_share(before) > 50 * noise_share(after)


def noise_share(prompts: torch.Tensor) -> float:
    """Scatter of one label's prompts over their squared mean."""
    mean = prompts.mean(dim=0)
    return ((prompts - mean).square().sum(dim=1).mean() / mean.square().sum()).item()


def test_a_single_label_in_one_sequence_becomes_zero() -> None:
    vectors, _ = instructions(difference=0.0, scale=1.0)
    aligner = TextAligner(DIM)
    aligner.calibrate(vectors, torch.zeros(len(vectors), dtype=torch.long))
    torch.testing.assert_close(normalised(aligner, vectors), torch.zeros(len(vectors), 256))


def test_calibration_is_part_of_a_checkpoint_but_not_trained() -> None:
    aligner = TextAligner(DIM)
    assert {"center", "projection", "spread"} <= set(aligner.state_dict())
    assert {name for name, _ in aligner.named_parameters()} == {"layers.0.weight", "layers.0.bias"}


@pytest.mark.parametrize("aligner", [TextAligner(8), EmbeddingAligner(8)])
def test_any_leading_shape_is_kept(aligner: torch.nn.Module) -> None:
    assert aligner(torch.randn(2, 3, 4, 8)).shape == (2, 3, 4, 256)


def test_text_and_embedding_together_are_the_sum_of_their_prompts() -> None:
    vectors, groups = instructions(difference=0.5)
    states = torch.randn(len(vectors), 8)
    both = BothAligner(DIM, 8)
    both.text.calibrate(vectors, groups)
    alone = TextAligner(DIM)
    alone.calibrate(vectors, groups)
    alone.layers.load_state_dict(both.text.layers.state_dict())
    expected = alone(vectors) + both.embedding.layers(states)
    torch.testing.assert_close(both(vectors, states), expected)
