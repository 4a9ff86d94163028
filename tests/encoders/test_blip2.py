from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Blip2Config, Blip2Model

from tests.encoders.published import (
    CLIP_MEAN,
    CLIP_STD,
    count,
    make_pictures,
    prepare_with_pillow,
)
from zeus_app.encoders.blip2 import Blip2QueryEncoder
from zeus_app.errors import InputError
from zeus_app.types import FloatArray

LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.2}
CONFIG: dict[str, Any] = {
    "model_type": "blip-2",
    "num_query_tokens": 32,
    "vision_config": {
        **LAYERS,
        "hidden_size": 16,
        "intermediate_size": 32,
        "image_size": 28,
        "patch_size": 14,
    },
    "qformer_config": {
        **LAYERS,
        "hidden_size": 12,
        "intermediate_size": 24,
        "encoder_hidden_size": 16,
    },
    "text_config": {
        "model_type": "opt",
        "vocab_size": 40,
        "hidden_size": 16,
        "word_embed_proj_dim": 16,
        "ffn_dim": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
    },
}


@pytest.fixture(scope="module")
def blip2() -> Blip2Model:
    torch.manual_seed(0)
    model = Blip2Model(Blip2Config(**CONFIG)).eval()
    torch.nn.init.normal_(model.query_tokens)  # transformers leaves them zero
    return model


@pytest.fixture(scope="module")
def folder(blip2: Blip2Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip2")
    blip2.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictures() -> FloatArray:
    return make_pictures()


@pytest.fixture(scope="module")
def expected(blip2: Blip2Model, pictures: FloatArray) -> FloatArray:
    inputs = torch.stack([prepare_with_pillow(p, 28, CLIP_MEAN, CLIP_STD) for p in pictures])
    with torch.no_grad():
        out: FloatArray = blip2.get_qformer_features(inputs).numpy()
    return out


def test_pictures_become_the_query_outputs_of_transformers_blip2(
    folder: Path, pictures: FloatArray, expected: FloatArray
) -> None:
    tokens = Blip2QueryEncoder(folder).encode(pictures)
    assert tokens.shape == (3, 32, 12)
    np.testing.assert_allclose(tokens, expected, rtol=1e-5, atol=1e-5)


def test_a_file_gives_the_same_as_its_folder(folder: Path, pictures: FloatArray) -> None:
    by_folder, by_file = (
        Blip2QueryEncoder(path) for path in (folder, folder / "model.safetensors")
    )
    assert by_folder.id == by_file.id
    np.testing.assert_array_equal(by_folder.encode(pictures), by_file.encode(pictures))


def test_parameters_in_several_files_are_found(
    blip2: Blip2Model, pictures: FloatArray, expected: FloatArray, tmp_path: Path
) -> None:
    blip2.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    np.testing.assert_allclose(
        Blip2QueryEncoder(tmp_path).encode(pictures), expected, rtol=1e-5, atol=1e-5
    )


def test_the_id_depends_on_each_of_several_files(blip2: Blip2Model, tmp_path: Path) -> None:
    blip2.save_pretrained(tmp_path, max_shard_size="20KB")
    before = Blip2QueryEncoder(tmp_path).id
    shard = next(p for p in tmp_path.glob("*.safetensors") if "query_tokens" in load_file(p))
    state = load_file(shard)
    save_file({**state, "query_tokens": state["query_tokens"] + 1}, shard)
    assert Blip2QueryEncoder(tmp_path).id != before


def test_the_language_model_is_not_loaded(folder: Path, blip2: Blip2Model) -> None:
    parts = count(blip2.vision_model) + count(blip2.qformer) + blip2.query_tokens.numel()
    assert count(Blip2QueryEncoder(folder).network) == parts


def test_half_precision_files_are_computed_in_float32(
    blip2: Blip2Model, pictures: FloatArray, expected: FloatArray, tmp_path: Path
) -> None:
    state = {key: value.half() for key, value in blip2.state_dict().items()}
    blip2.config.save_pretrained(tmp_path)
    save_file({k: v.contiguous().clone() for k, v in state.items()}, tmp_path / "model.safetensors")
    tower = Blip2QueryEncoder(tmp_path)
    assert {p.dtype for p in tower.network.parameters()} == {torch.float32}
    np.testing.assert_allclose(tower.encode(pictures), expected, atol=0.02)


@pytest.mark.parametrize("lost", ["query_tokens", "qformer.layernorm.bias"])
def test_a_missing_key_is_refused(lost: str, folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state[lost]
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(InputError, match=lost.removeprefix("qformer.")):
        Blip2QueryEncoder(tmp_path)


def test_an_unknown_key_is_refused(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    save_file({**state, "qformer.adapter.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(InputError, match=r"adapter\.weight"):
        Blip2QueryEncoder(tmp_path)


def test_an_empty_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        Blip2QueryEncoder(tmp_path)


def test_a_missing_shard_is_refused_by_name(blip2: Blip2Model, tmp_path: Path) -> None:
    blip2.save_pretrained(tmp_path, max_shard_size="20KB")
    shard = next(p for p in tmp_path.glob("*.safetensors") if "query_tokens" in load_file(p))
    shard.unlink()
    with pytest.raises(InputError, match=shard.name):
        Blip2QueryEncoder(tmp_path)


def test_the_skeleton_is_a_vit_of_986_million_and_a_qformer_of_105_million() -> None:
    # ViT-g and Q-Former of transformers, and 32 queries of 768
    assert count(Blip2QueryEncoder.skeleton()) == 985_952_256 + 105_137_664 + 32 * 768


def test_a_skeleton_follows_a_given_configuration(folder: Path) -> None:
    network = Blip2QueryEncoder(folder).network
    assert count(Blip2QueryEncoder.skeleton(CONFIG)) == count(network)
