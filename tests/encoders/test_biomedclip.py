import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from tests.encoders.published import (
    CLIP_MEAN,
    CLIP_STD,
    WORDS,
    count,
    make_pictures,
    prepare_with_pillow,
    write_json,
)
from zeus_app.encoders.biomedclip import BiomedClipText, BiomedClipVision
from zeus_app.errors import InputError
from zeus_app.types import FloatArray

BERT: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
}


def config_with(bert: Path) -> dict[str, Any]:
    """open_clip_config.json as BiomedCLIP's, with timm's smallest ViT and a BERT in a folder."""
    return {
        "model_cfg": {
            "embed_dim": 12,
            "vision_cfg": {
                "timm_model_name": "test_vit",
                "timm_model_pretrained": False,
                "timm_pool": "",
                "timm_proj": "linear",
                "image_size": 160,
            },
            "text_cfg": {
                "hf_model_name": str(bert),
                "hf_tokenizer_name": str(bert),
                "hf_proj_type": "mlp",
                "hf_pooler_type": "cls_last_hidden_state_pooler",
                "context_length": 16,
            },
        },
        "preprocess_cfg": {"mean": list(CLIP_MEAN), "std": list(CLIP_STD)},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BiomedCLIP's repository, small, with random weights that open_clip itself saved."""
    folder = tmp_path_factory.mktemp("biomedclip")
    bert = tmp_path_factory.mktemp("bert")
    write_json(bert / "config.json", BERT)
    torch.manual_seed(0)
    BertModel(BertConfig(**BERT)).save_pretrained(bert)
    write_json(folder / "open_clip_config.json", config_with(bert))
    write_json(folder / "bert_config.json", BERT)
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)})
    tokenizer.save_pretrained(folder)
    model = open_clip.create_model(f"local-dir:{folder}", pretrained_image=False)
    # The published file was written when transformers still saved these constants.
    positions = {"text.transformer.embeddings.position_ids": torch.arange(40)[None]}
    torch.save({**model.state_dict(), **positions}, folder / "open_clip_pytorch_model.bin")
    return folder


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    return folder / "open_clip_pytorch_model.bin"


@pytest.fixture(scope="module")
def authors_model(folder: Path, weights: Path) -> Any:
    """open_clip's own path from the same folder."""
    return open_clip.create_model(f"local-dir:{folder}").eval()


@pytest.fixture(scope="module")
def pictures() -> FloatArray:
    return make_pictures()


@pytest.fixture(scope="module")
def prepared(pictures: FloatArray) -> torch.Tensor:
    return torch.stack([prepare_with_pillow(p, 160, CLIP_MEAN, CLIP_STD) for p in pictures])


def rewritten(folder: Path, to: Path, state: dict[str, torch.Tensor]) -> Path:
    """The repository again, with another state."""
    for path in folder.glob("*.json"):
        (to / path.name).write_bytes(path.read_bytes())
    torch.save(state, to / "open_clip_pytorch_model.bin")
    return to / "open_clip_pytorch_model.bin"


def test_the_checkpoint_has_the_published_keys(weights: Path) -> None:
    keys = set(torch.load(weights))
    assert {
        "logit_scale",
        "visual.trunk.cls_token",
        "visual.trunk.blocks.0.attn.qkv.weight",
        "visual.head.proj.weight",
        "text.transformer.embeddings.position_ids",
        "text.transformer.encoder.layer.0.attention.self.query.weight",
        "text.proj.0.weight",
        "text.proj.2.weight",
    } <= keys


def test_pictures_become_open_clips_image_embeddings(
    weights: Path, authors_model: Any, pictures: FloatArray, prepared: torch.Tensor
) -> None:
    with torch.no_grad():
        expected = authors_model.encode_image(prepared).numpy()
    tokens = BiomedClipVision(weights).encode(pictures)
    assert tokens.shape == (3, 1, 12)
    np.testing.assert_allclose(tokens[:, 0], expected, rtol=1e-5, atol=1e-5)


def test_pictures_are_prepared_as_open_clip_prepares_them(
    folder: Path, prepared: torch.Tensor, pictures: FloatArray
) -> None:
    from PIL import Image

    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    image = Image.fromarray((pictures[0] * 255).round().astype(np.uint8))
    np.testing.assert_allclose(transform(image).numpy(), prepared[0].numpy(), atol=1e-5)


def test_as_a_grid_it_gives_the_vits_patches_without_the_class_token(
    weights: Path, authors_model: Any, pictures: FloatArray, prepared: torch.Tensor
) -> None:
    with torch.no_grad():
        states = authors_model.visual.trunk.forward_features(prepared)  # the class token is first
    tower = BiomedClipVision(weights, grid=True)
    tokens = tower.encode(pictures)
    assert tokens.shape == (3, 100, tower.dim)
    np.testing.assert_allclose(tokens, states[:, 1:].numpy(), rtol=1e-5, atol=1e-5)


def test_texts_become_open_clips_text_embeddings(
    folder: Path, weights: Path, authors_model: Any
) -> None:
    texts = ["The livers is bright.", "liver", "", "the liver &amp; the liver"]
    with torch.no_grad():
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
        expected = authors_model.encode_text(tokens).numpy()
    vectors = BiomedClipText(weights).encode(texts)
    assert vectors.shape == (4, 12)
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)


def test_a_text_beyond_the_context_is_cut_as_open_clip_cuts_it(
    folder: Path, weights: Path, authors_model: Any
) -> None:
    text = "liver " * 14 + "bright"  # with [CLS] and [SEP] one word more than 16 tokens
    with torch.no_grad():
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")([text])
        expected = authors_model.encode_text(tokens).numpy()
    vectors = BiomedClipText(weights).encode([text])
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(vectors, BiomedClipText(weights).encode(["liver " * 14]))


def test_texts_are_encoded_the_same_in_any_batch(weights: Path) -> None:
    tower = BiomedClipText(weights)
    texts = ["liver", "the liver is bright.", "bright"]
    alone = np.concatenate([tower.encode([text]) for text in texts])
    np.testing.assert_allclose(tower.encode(texts), alone, atol=1e-5)


def test_no_texts_give_no_vectors(weights: Path) -> None:
    assert BiomedClipText(weights).encode([]).shape == (0, 12)


@pytest.mark.parametrize(
    ("key", "tower"),
    [("visual.head.proj.weight", BiomedClipVision), ("text.proj.2.weight", BiomedClipText)],
)
def test_a_missing_key_is_refused(
    key: str, tower: Any, folder: Path, weights: Path, tmp_path: Path
) -> None:
    state = torch.load(weights)
    del state[key]
    with pytest.raises(InputError, match=r"Missing key.*proj"):
        tower(rewritten(folder, tmp_path, state))


def test_an_unknown_key_is_refused(folder: Path, weights: Path, tmp_path: Path) -> None:
    state = {**torch.load(weights), "visual.adapter.weight": torch.zeros(2)}
    with pytest.raises(InputError, match=r"Unexpected key.*adapter"):
        BiomedClipVision(rewritten(folder, tmp_path, state))


def test_without_its_bert_configuration_it_takes_the_published_one(
    folder: Path, weights: Path, tmp_path: Path
) -> None:
    path = rewritten(folder, tmp_path, torch.load(weights))
    (tmp_path / "bert_config.json").unlink()
    with pytest.raises(InputError, match="tokenizer of 11 words, not the 30522"):
        BiomedClipText(path)


def test_an_image_encoder_that_timm_lacks_is_refused(
    folder: Path, weights: Path, tmp_path: Path
) -> None:
    path = rewritten(folder, tmp_path, torch.load(weights))
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["timm_model_name"] = "vit_of_nobody"
    write_json(tmp_path / "open_clip_config.json", config)
    with pytest.raises(InputError, match="does not configure a timm image encoder"):
        BiomedClipVision(path)


def test_the_skeletons_hold_the_published_number_of_parameters() -> None:
    # The published file of 784 MB holds 195,902,721 float32 numbers, one of them the temperature.
    total = count(BiomedClipVision.skeleton()) + count(BiomedClipText.skeleton())
    assert total == 195_902_720
