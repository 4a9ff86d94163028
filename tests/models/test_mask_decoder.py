"""The instructed mask decoder against segment-anything's own."""

import pytest
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

from zeus_app.models.mask_decoder import InstructedMaskDecoder


@pytest.fixture(scope="module")
def sam() -> tuple[MaskDecoder, PromptEncoder]:
    torch.manual_seed(0)
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    decoder = MaskDecoder(transformer_dim=256, transformer=transformer, num_multimask_outputs=3)
    prompts = PromptEncoder(
        embed_dim=256,
        image_embedding_size=(64, 64),
        input_image_size=(256, 256),
        mask_in_chans=16,
    )
    return decoder.eval(), prompts.eval()


@pytest.fixture(scope="module")
def ours(sam: tuple[MaskDecoder, PromptEncoder]) -> InstructedMaskDecoder:
    return InstructedMaskDecoder(*sam).eval()


@torch.inference_mode()
def test_without_an_instruction_it_is_sams_transformer_with_one_mask_token(
    sam: tuple[MaskDecoder, PromptEncoder], ours: InstructedMaskDecoder
) -> None:
    decoder, prompts = sam
    embedding = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(1))
    dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
    tokens = decoder.mask_tokens.weight[:1][None]
    answers, pixels = decoder.transformer(embedding + dense, prompts.get_dense_pe(), tokens)
    upscaled = decoder.output_upscaling(pixels.transpose(1, 2).reshape(1, 256, 64, 64))
    weights = decoder.output_hypernetworks_mlps[0](answers[:, 0])
    expected = torch.einsum("bc,bchw->bhw", weights, upscaled)
    got = ours(embedding, torch.zeros(1, 1, 256))
    torch.testing.assert_close(got[:, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("labels", [1, 4, 7])
@torch.inference_mode()
def test_one_pass_gives_any_number_of_labels(ours: InstructedMaskDecoder, labels: int) -> None:
    masks = ours(torch.zeros(2, 256, 64, 64), torch.randn(2, labels, 256))
    assert masks.shape == (2, labels, 256, 256)


@torch.inference_mode()
def test_swapped_instructions_give_swapped_masks(ours: InstructedMaskDecoder) -> None:
    embedding = torch.randn(1, 256, 64, 64)
    instructions = torch.randn(1, 3, 256)
    masks = ours(embedding, instructions)
    swapped = ours(embedding, instructions[:, [2, 1, 0]])
    torch.testing.assert_close(swapped, masks[:, [2, 1, 0]], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_batch_gives_the_masks_of_its_images_alone(ours: InstructedMaskDecoder) -> None:
    embeddings = torch.randn(3, 256, 64, 64)
    instructions = torch.randn(3, 2, 256)
    together = ours(embeddings, instructions)
    alone = torch.cat([ours(embeddings[i : i + 1], instructions[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_decoders_made_from_one_sam_share_no_weights(
    sam: tuple[MaskDecoder, PromptEncoder],
) -> None:
    first, second = InstructedMaskDecoder(*sam), InstructedMaskDecoder(*sam)
    theirs = {id(parameter) for parameter in second.parameters()}
    assert not any(id(parameter) in theirs for parameter in first.parameters())


def test_every_parameter_learns(ours: InstructedMaskDecoder) -> None:
    ours(torch.randn(1, 256, 64, 64), torch.randn(1, 2, 256)).sum().backward()
    idle = [name for name, p in ours.named_parameters() if p.grad is None]
    assert idle == []
