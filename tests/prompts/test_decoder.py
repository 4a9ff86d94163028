"""The prompt decoder against segment-anything's own predictor modules, with random weights."""

import pytest
import torch

from zeus_app.encoders.sam_parts import build_prompt_encoder_and_decoder
from zeus_app.prompts.decoder import PromptDecoder


@pytest.mark.parametrize("input_px", [256, 1024])
def test_many_pictures_in_one_pass_equal_segment_anything_one_by_one(input_px: int) -> None:
    torch.manual_seed(0)
    prompts, decoder = build_prompt_encoder_and_decoder(input_px)
    embeddings = torch.randn(3, 256, 64, 64)
    boxes = [(10.0, 20.0, 60.0, 90.0), (0.0, 0.0, 256.0, 256.0), (100.0, 30.0, 101.0, 31.0)]
    ours = PromptDecoder(prompts, decoder)(embeddings, boxes)
    for embedding, box, logits in zip(embeddings, boxes, ours, strict=True):
        corners = torch.tensor([box]) * input_px / 256
        with torch.inference_mode():
            sparse, dense = prompts(points=None, boxes=corners, masks=None)
            expected, _ = decoder(
                image_embeddings=embedding[None],
                image_pe=prompts.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
        assert torch.allclose(logits, expected[0, 0], atol=1e-4)


def test_nothing_of_it_learns() -> None:
    decoder = PromptDecoder(*build_prompt_encoder_and_decoder(256))
    assert not any(parameter.requires_grad for parameter in decoder.parameters())
