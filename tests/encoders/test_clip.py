from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from tests.encoders.published import (
    CLIP_MEAN,
    CLIP_STD,
    count,
    make_pictures,
    prepare_with_pillow,
    write_json,
)
from zeus_app.encoders.clip import ClipText, ClipVision
from zeus_app.errors import InputError
from zeus_app.types import FloatArray

LETTERS = list("abcdefghijklmnopqrstuvwxyz")
ENDS = [f"{letter}</w>" for letter in LETTERS]
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]
VOCABULARY = {word: i for i, word in enumerate([*LETTERS, *ENDS, "li", "er</w>", *SPECIAL])}
LAYERS = {
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_size": 16,
    "initializer_range": 0.2,
    "initializer_factor": 2.0,
}
CONFIG: dict[str, Any] = {
    "model_type": "clip",
    "projection_dim": 12,  # the sides keep their own default of 512, as some published ones do
    "vision_config": {**LAYERS, "image_size": 32, "patch_size": 8},
    "text_config": {
        **LAYERS,
        "vocab_size": len(VOCABULARY),
        "max_position_embeddings": 77,
        "eos_token_id": 2,  # what OpenAI's published configurations say, though it is wrong
    },
}


@pytest.fixture(scope="module")
def clip() -> CLIPModel:
    torch.manual_seed(0)
    return CLIPModel(CLIPConfig(**CONFIG)).eval()


@pytest.fixture(scope="module")
def folder(clip: CLIPModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    clip.save_pretrained(folder)
    merges = [("l", "i"), ("e", "r</w>")]
    tokenizer = CLIPTokenizer(vocab=VOCABULARY, merges=merges, model_max_length=77)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def state(weights: Path) -> dict[str, torch.Tensor]:
    return load_file(weights)


@pytest.fixture(scope="module")
def pictures() -> FloatArray:
    return make_pictures()


@pytest.fixture(scope="module")
def prepared(pictures: FloatArray) -> torch.Tensor:
    return torch.stack([prepare_with_pillow(p, 32, CLIP_MEAN, CLIP_STD) for p in pictures])


def copy(folder: Path, to: Path) -> Path:
    """The small files of a CLIP repository."""
    for path in folder.iterdir():
        if path.suffix == ".json":
            (to / path.name).write_bytes(path.read_bytes())
    return to


def test_pictures_become_transformers_image_embeddings(
    weights: Path, clip: CLIPModel, pictures: FloatArray, prepared: torch.Tensor
) -> None:
    with torch.no_grad():
        expected = clip.get_image_features(prepared).pooler_output
    tokens = ClipVision(weights).encode(pictures)
    assert tokens.shape == (3, 1, 12)
    np.testing.assert_allclose(tokens[:, 0], expected.numpy(), rtol=1e-5, atol=1e-5)


def test_as_a_grid_it_gives_the_patches_without_the_class_token(
    weights: Path, clip: CLIPModel, pictures: FloatArray, prepared: torch.Tensor
) -> None:
    with torch.no_grad():
        states = clip.vision_model(prepared).last_hidden_state  # the class token comes first
    tower = ClipVision(weights, grid=True)
    tokens = tower.encode(pictures)
    assert tokens.shape == (3, 16, tower.dim)
    np.testing.assert_allclose(tokens, states[:, 1:].numpy(), rtol=1e-5, atol=1e-5)


def test_texts_become_transformers_text_embeddings(folder: Path, clip: CLIPModel) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    texts = ["a bright liver", "liver", "Liver", ""]
    with torch.no_grad():
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        expected = clip.get_text_features(**tokens).pooler_output
    vectors = ClipText(folder / "model.safetensors").encode(texts)
    assert vectors.shape == (4, 12)
    np.testing.assert_allclose(vectors, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_texts_are_encoded_the_same_in_any_batch(weights: Path) -> None:
    tower = ClipText(weights)
    texts = ["liver", "a bright liver", "bright"]
    alone = np.concatenate([tower.encode([text]) for text in texts])
    np.testing.assert_allclose(tower.encode(texts), alone, atol=1e-5)


def test_a_text_beyond_77_tokens_is_cut_and_still_ended(folder: Path, clip: CLIPModel) -> None:
    start, end, a = (VOCABULARY[word] for word in ("<|startoftext|>", "<|endoftext|>", "a</w>"))
    with torch.no_grad():
        tokens = torch.tensor([[start, *[a] * 75, end]])
        expected = clip.get_text_features(tokens).pooler_output
    vectors = ClipText(folder / "model.safetensors").encode(["a " * 75 + "liver"])
    np.testing.assert_allclose(vectors, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_no_texts_give_no_vectors(weights: Path) -> None:
    assert ClipText(weights).encode([]).shape == (0, 12)


def test_a_file_of_torch_save_gives_the_same_as_safetensors(
    folder: Path, state: dict[str, torch.Tensor], pictures: FloatArray, tmp_path: Path
) -> None:
    path = copy(folder, tmp_path) / "pytorch_model.bin"
    # OpenAI's pytorch_model.bin holds these constants, newer files do not.
    positions = {
        "text_model.embeddings.position_ids": torch.arange(77)[None],
        "vision_model.embeddings.position_ids": torch.arange(17)[None],
    }
    torch.save({**state, **positions}, path)
    expected = ClipVision(folder / "model.safetensors").encode(pictures)
    np.testing.assert_array_equal(ClipVision(path).encode(pictures), expected)
    assert ClipText(path).encode(["liver"]).shape == (1, 12)


def test_a_published_normalisation_is_used_and_named(
    folder: Path, state: dict[str, torch.Tensor], clip: CLIPModel, tmp_path: Path
) -> None:
    path = copy(folder, tmp_path) / "model.safetensors"
    save_file(state, path)
    settings = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    write_json(tmp_path / "preprocessor_config.json", settings)
    picture = make_pictures(1)
    with torch.no_grad():
        inputs = prepare_with_pillow(picture[0], 32, (0.5,) * 3, (0.25,) * 3)[None]
        expected = clip.get_image_features(inputs).pooler_output
    tower = ClipVision(path)
    np.testing.assert_allclose(tower.encode(picture)[0], expected.numpy(), rtol=1e-5, atol=1e-5)
    assert tower.id.endswith("-32px-0.5-0.25")


def test_a_normalisation_of_one_number_is_refused(
    folder: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = copy(folder, tmp_path) / "model.safetensors"
    save_file(state, path)
    write_json(tmp_path / "preprocessor_config.json", {"image_mean": [0.5]})
    with pytest.raises(InputError, match=r"image_mean of the pictures is \[0\.5\]"):
        ClipVision(path)


@pytest.mark.parametrize(
    ("lost", "tower"),
    [("visual_projection.weight", ClipVision), ("text_model.final_layer_norm.bias", ClipText)],
)
def test_a_missing_key_is_refused(
    lost: str, tower: Any, folder: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = copy(folder, tmp_path) / "model.safetensors"
    save_file({key: value for key, value in state.items() if key != lost}, path)
    with pytest.raises(InputError, match=lost):
        tower(path)


def test_an_unknown_key_is_refused(
    folder: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = copy(folder, tmp_path) / "model.safetensors"
    save_file({**state, "vision_model.adapter.weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"vision_model\.adapter\.weight"):
        ClipVision(path)


def test_a_parameter_of_another_shape_is_refused(
    folder: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = copy(folder, tmp_path) / "model.safetensors"
    save_file({**state, "visual_projection.weight": torch.zeros(13, 16)}, path)
    with pytest.raises(InputError, match=r"visual_projection\.weight"):
        ClipVision(path)


def test_a_repository_of_another_model_is_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights.read_bytes())
    write_json(tmp_path / "config.json", {"model_type": "bert"})
    with pytest.raises(InputError, match="configures a model of type bert"):
        ClipVision(path)


def test_a_missing_configuration_is_refused_by_name(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights.read_bytes())
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        ClipVision(path)


def test_a_missing_tokenizer_is_refused(weights: Path, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights.read_bytes())
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(InputError, match=r"holds a tokenizer of . words, not the 56"):
        ClipText(path)


def test_the_skeletons_of_vit_b16_hold_the_published_number_of_parameters() -> None:
    # OpenAI's ViT-B/16 has 149,620,737, one of which is the temperature.
    total = count(ClipVision.skeleton()) + count(ClipText.skeleton())
    assert total == 149_620_736


def test_a_skeleton_follows_a_given_configuration(clip: CLIPModel) -> None:
    expected = count(clip.vision_model) + count(clip.visual_projection)
    assert count(ClipVision.skeleton(CONFIG)) == expected
