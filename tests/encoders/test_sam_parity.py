"""Our SAM against segment-anything's own predictor, and against transformers' own model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from segment_anything import SamPredictor, sam_model_registry

from tests.encoders.tiny_sam import randomise, tiny_sam
from zeus_app.encoders.sam import SamEncoder, load_prompt_encoder_and_decoder
from zeus_app.types import FloatArray

POINTS_XY = np.array([[140.0, 110.0], [30.0, 200.0]])
POINT_LABELS = np.array([1, 0])
BOX_XYXY = np.array([90.0, 60.0, 190.0, 160.0])

Grey = npt.NDArray[Any]


def full_size(test: Callable[..., None]) -> Callable[..., None]:
    """Two passes of ViT-B at 1024x1024, a minute of one core and 4 GB between these tests."""
    marked: Callable[..., None] = pytest.mark.timeout(900)(pytest.mark.slow(test))
    return marked


@pytest.fixture(scope="module")
def grey() -> Grey:
    """A (256, 256) uint8 picture of blobs in four grey levels, 64 apart.

    Enlarging four times weighs pixels by 64ths, so that SAM's rounding to 8 bits loses nothing.
    """
    rows, columns = np.mgrid[:256, :256]
    waves = np.sin(rows / 19) + np.sin(columns / 23) + np.sin((rows + columns) / 31)
    levels: Grey = np.digitize(waves, [-1, 0, 1]) * 64
    return levels.astype(np.uint8)


def decode(weights: Path, embedding: torch.Tensor, *, multimask: bool, **prompts: Any) -> Any:
    """Logits (1, masks, 256, 256) and scores of the checkpoint's own decoder."""
    prompt_encoder, decoder = load_prompt_encoder_and_decoder(weights)
    with torch.inference_mode():
        sparse, dense = prompt_encoder(
            points=prompts.get("points"), boxes=prompts.get("boxes"), masks=None
        )
        return decoder(
            image_embeddings=embedding,
            image_pe=prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )


@dataclass(frozen=True)
class Predicted:
    """Output of segment-anything's predictor for the picture."""

    embedding: FloatArray
    scores_of_points: FloatArray
    logits_of_points: FloatArray
    logits_of_box: FloatArray


@pytest.fixture(scope="module")
def vit_b(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint of SAM ViT-B at its full size, in segment-anything's layout."""
    path = tmp_path_factory.mktemp("vit_b") / "sam_vit_b.pth"
    sam = sam_model_registry["vit_b"]()
    randomise(sam)
    torch.save(sam.state_dict(), path)
    yield path
    path.unlink()  # pytest keeps its folders, and these are 375 MB


@pytest.fixture(scope="module")
def predicted(vit_b: Path, grey: Grey) -> Predicted:
    predictor = SamPredictor(sam_model_registry["vit_b"](checkpoint=vit_b))
    predictor.set_image(np.repeat(grey[..., None], 3, axis=-1))
    _, scores, of_points = predictor.predict(
        point_coords=POINTS_XY, point_labels=POINT_LABELS, multimask_output=True
    )
    _, _, of_box = predictor.predict(box=BOX_XYXY, multimask_output=False)
    return Predicted(predictor.get_image_embedding().numpy(), scores, of_points, of_box)


@pytest.fixture(scope="module")
def embedding(vit_b: Path, grey: Grey) -> torch.Tensor:
    """The same picture through our encoder, in float32."""
    encoder = SamEncoder(vit_b, runtime="torch", size="vit_b")
    return torch.from_numpy(encoder.runtime(grey[None].astype(np.float32) / 255))


@full_size
def test_the_embedding_of_a_full_vit_b_is_the_predictors(
    embedding: torch.Tensor, predicted: Predicted
) -> None:
    assert predicted.embedding.std() > 0.5
    np.testing.assert_allclose(embedding.numpy(), predicted.embedding, atol=1e-4)


@full_size
def test_masks_from_points_are_the_predictors(
    vit_b: Path, embedding: torch.Tensor, predicted: Predicted
) -> None:
    # 1024 / 256: prompts are in pixels of the network's input.
    points = torch.tensor(POINTS_XY[None] * 4, dtype=torch.float32)
    labels = torch.tensor(POINT_LABELS[None])
    logits, scores = decode(vit_b, embedding, multimask=True, points=(points, labels))
    assert predicted.logits_of_points.std() > 0.1
    np.testing.assert_allclose(logits[0].numpy(), predicted.logits_of_points, atol=1e-4)
    np.testing.assert_allclose(scores[0].numpy(), predicted.scores_of_points, atol=1e-4)


@full_size
def test_the_mask_from_a_box_is_the_predictors(
    vit_b: Path, embedding: torch.Tensor, predicted: Predicted
) -> None:
    box = torch.tensor(BOX_XYXY[None] * 4, dtype=torch.float32)
    logits, _ = decode(vit_b, embedding, multimask=False, boxes=box)
    assert predicted.logits_of_box.std() > 0.1
    np.testing.assert_allclose(logits[0].numpy(), predicted.logits_of_box, atol=1e-4)


def test_only_the_predictors_rounding_to_8_bits_differs(
    tmp_path: Path,
) -> None:
    """Before and after enlarging it rounds by half a grey level each, about 1 % of this noise."""
    sam = tiny_sam(input_px=1024).eval()
    torch.save(sam.state_dict(), tmp_path / "tiny.pth")
    rng = np.random.default_rng(0)
    picture = (np.linspace(0.2, 0.6, 256) + rng.uniform(0, 0.4, (256, 256))).astype(np.float32)
    predictor = SamPredictor(sam)
    predictor.set_image(np.repeat(np.rint(255 * picture).astype(np.uint8)[..., None], 3, axis=-1))
    _, _, theirs = predictor.predict(box=BOX_XYXY, multimask_output=False)
    encoder = SamEncoder(tmp_path / "tiny.pth", runtime="torch")
    embedding = torch.from_numpy(encoder.runtime(picture[None]))
    box = torch.tensor(BOX_XYXY[None] * 4, dtype=torch.float32)
    ours, _ = decode(tmp_path / "tiny.pth", embedding, multimask=False, boxes=box)
    error = embedding.numpy() - predictor.get_image_embedding().numpy()
    assert np.linalg.norm(error) < 0.02 * np.linalg.norm(embedding.numpy())
    assert np.linalg.norm(ours[0].numpy() - theirs) < 0.02 * theirs.std() * theirs.size**0.5


@pytest.fixture(scope="module")
def sam_model() -> Any:
    """A `SamModel` of transformers, 256x256 in, 64x64 embeddings out, of two narrow blocks."""
    from transformers import SamConfig, SamModel

    config = SamConfig(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 256,
            "patch_size": 4,
            "global_attn_indexes": [1],
            "mlp_dim": 70,  # no multiple of 32: pruned repositories have such
        },
        prompt_encoder_config={"image_size": 256, "patch_size": 4},
        # segment-anything's decoder has torch's 1e-5. transformers' default of 1e-6 differs from
        # the network that was trained; with it the logits here would differ by up to 1.5e-4.
        mask_decoder_config={"layer_norm_eps": 1e-5},
    )
    model = SamModel(config).eval()
    randomise(model)
    return model


@pytest.fixture(scope="module", params=["model.safetensors", "pytorch_model.bin"])
def repository(
    request: pytest.FixtureRequest, sam_model: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its repository, as transformers writes it today and as it did before safetensors."""
    folder: Path = tmp_path_factory.mktemp("repository")
    sam_model.save_pretrained(folder)
    if request.param == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
        torch.save(sam_model.state_dict(), folder / request.param)
    return folder


@pytest.fixture(scope="module")
def their_embedding(sam_model: Any, grey: Grey) -> torch.Tensor:
    from transformers import SamImageProcessor

    processor = SamImageProcessor(
        size={"longest_edge": 256}, pad_size={"height": 256, "width": 256}
    )
    pixels = processor(np.repeat(grey[..., None], 3, axis=-1), return_tensors="pt").pixel_values
    with torch.inference_mode():
        embedding: torch.Tensor = sam_model.get_image_embeddings(pixels)
    return embedding


def test_the_embedding_of_a_repository_is_transformers(
    repository: Path, their_embedding: torch.Tensor, grey: Grey
) -> None:
    encoder = SamEncoder(repository, runtime="torch")
    ours = encoder.runtime(grey[None].astype(np.float32) / 255)
    np.testing.assert_allclose(ours, their_embedding.numpy(), atol=1e-4)


def test_masks_from_points_of_a_repository_are_transformers(
    repository: Path, sam_model: Any, their_embedding: torch.Tensor
) -> None:
    points, labels = torch.tensor(POINTS_XY[None]).float(), torch.tensor(POINT_LABELS[None])
    with torch.inference_mode():
        theirs = sam_model(
            image_embeddings=their_embedding,
            input_points=points[:, None],
            input_labels=labels[:, None],
        )
    logits, scores = decode(repository, their_embedding, multimask=True, points=(points, labels))
    np.testing.assert_allclose(logits[0].numpy(), theirs.pred_masks[0, 0].numpy(), atol=1e-4)
    np.testing.assert_allclose(scores[0].numpy(), theirs.iou_scores[0, 0].numpy(), atol=1e-4)
