"""The Q-Former projection against transformers' own class, used step by step."""

import pytest
import torch
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from zeus_app.models.qformer import QFormerProjector

SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 48,
}
VISION, LLM, QUERIES = 10, 14, 5


@pytest.fixture
def projector() -> QFormerProjector:
    torch.manual_seed(0)
    return QFormerProjector(VISION, LLM, queries=QUERIES, sizes=SIZES)


@pytest.mark.parametrize("features", [1, 9])
def test_there_are_as_many_tokens_as_queries_however_many_features(
    projector: QFormerProjector, features: int
) -> None:
    assert projector(torch.randn(2, features, VISION)).shape == (2, QUERIES, LLM)


@torch.inference_mode()
def test_it_is_transformers_qformer_then_one_linear_layer(projector: QFormerProjector) -> None:
    config = Blip2QFormerConfig(encoder_hidden_size=VISION, cross_attention_frequency=2, **SIZES)
    theirs = Blip2QFormerModel(config).eval()
    theirs.load_state_dict(projector.qformer.state_dict())
    features = torch.randn(3, 9, VISION)
    seen = theirs(
        query_embeds=torch.cat([projector.queries] * 3),
        query_length=QUERIES,
        encoder_hidden_states=features,
        encoder_attention_mask=torch.ones(3, 9),
    ).last_hidden_state
    expected = seen @ projector.to_llm.weight.T + projector.to_llm.bias
    torch.testing.assert_close(projector(features), expected)


def test_gradients_reach_every_parameter_and_the_features(projector: QFormerProjector) -> None:
    features = torch.randn(2, 9, VISION, requires_grad=True)
    projector(features).square().sum().backward()
    idle = [
        name
        for name, parameter in projector.named_parameters()
        # A key's bias adds the same to every score, which softmax takes out again.
        if "key.bias" not in name and (parameter.grad is None or not parameter.grad.any())
    ]
    assert idle == []
    assert features.grad is not None
    assert features.grad.any(dim=-1).all()


def test_queries_begin_apart(projector: QFormerProjector) -> None:
    tokens = projector(torch.randn(1, 9, VISION))[0]
    assert torch.pdist(tokens).min() > 0


def test_while_training_the_same_picture_gives_the_same_tokens(projector: QFormerProjector) -> None:
    features = torch.randn(1, 9, VISION)
    assert projector.training
    assert torch.equal(projector(features), projector(features))


def test_at_full_size_it_is_bert_base_with_cross_attention_in_every_second_layer() -> None:
    with torch.device("meta"):
        projector = QFormerProjector(512, 4096)
    norm, width = 2 * 768, 768 * 768 + 768
    attention = 4 * width + norm
    cross_attention = 2 * width + 2 * (512 * 768 + 768) + norm
    feed_forward = 768 * 3072 + 3072 + 3072 * 768 + 768 + norm
    blip2 = 12 * (attention + feed_forward) + 6 * cross_attention + norm
    expected = 32 * 768 + blip2 + 768 * 4096 + 4096
    assert sum(parameter.numel() for parameter in projector.parameters()) == expected
    assert expected == 100_054_528
