from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, SwinConfig, SwinModel

from tests.encoders.published import (
    WORDS,
    count,
    make_pictures,
    prepare_with_pillow,
    write_json,
    write_vocabulary,
)
from zeus_app.encoders.medclip import MedClipText, MedClipVision
from zeus_app.encoders.tower import PictureInput
from zeus_app.errors import InputError
from zeus_app.types import FloatArray

MEAN, STD = 0.5862785803043838, 0.27950088968644304
SWIN: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 2,
    "window_size": 4,
    "embed_dim": 8,
    "depths": [2, 2],
    "num_heads": [1, 2],
    "initializer_range": 0.2,
}
BERT: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 80,
    "initializer_range": 0.2,
}
STATES_OF_TEXT = 4  # hidden states after the layers of BERT


def keys_of(model: Any, folder: Path) -> dict[str, torch.Tensor]:
    """A model's state by the keys of its published files, which is how transformers saves it."""
    model.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def swin() -> SwinModel:
    torch.manual_seed(0)
    return SwinModel(SwinConfig(**SWIN)).eval()


@pytest.fixture(scope="module")
def bert() -> BertModel:
    torch.manual_seed(1)
    return BertModel(BertConfig(**BERT)).eval()


@pytest.fixture(scope="module")
def heads() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        "vision_model.projection_head.weight": torch.randn(512, 16, generator=generator),
        "text_model.projection_head.weight": torch.randn(512, 16, generator=generator),
    }


@pytest.fixture(scope="module")
def state(
    swin: SwinModel,
    bert: BertModel,
    heads: dict[str, torch.Tensor],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, torch.Tensor]:
    """MedCLIP's state: Swin and BERT as transformers 4.24 named and saved them."""
    vision = keys_of(swin, tmp_path_factory.mktemp("swin"))
    assert "encoder.layers.1.blocks.0.attention.self.query.weight" in vision
    assert "encoder.layers.1.blocks.0.intermediate.dense.weight" in vision
    for layer, block in ((0, 0), (0, 1), (1, 0), (1, 1)):
        key = f"encoder.layers.{layer}.blocks.{block}.attention.self.relative_position_index"
        vision[key] = torch.zeros(16, 16, dtype=torch.int64)
    text = keys_of(bert, tmp_path_factory.mktemp("bert"))
    return {
        "logit_scale": torch.tensor(2.66),
        **{f"vision_model.model.{key}": value for key, value in vision.items()},
        **{f"text_model.model.{key}": value for key, value in text.items()},
        "text_model.model.embeddings.position_ids": torch.arange(80)[None],
        **heads,
    }


def write(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / "pytorch_model.bin")
    write_json(folder / "swin_config.json", SWIN)
    write_json(folder / "bert_config.json", BERT)
    write_vocabulary(folder)
    return folder / "pytorch_model.bin"


@pytest.fixture(scope="module")
def weights(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("medclip"), state)


@pytest.fixture(scope="module")
def pictures() -> FloatArray:
    return make_pictures()


@pytest.fixture(scope="module")
def prepared(pictures: FloatArray) -> torch.Tensor:
    return torch.stack([prepare_with_pillow(p, 32, (MEAN,) * 3, (STD,) * 3) for p in pictures])


@pytest.fixture(scope="module")
def text_tower(weights: Path) -> MedClipText:
    return MedClipText(weights)


def test_a_picture_becomes_the_projected_mean_of_swins_tokens(
    weights: Path,
    swin: SwinModel,
    heads: dict[str, torch.Tensor],
    pictures: FloatArray,
    prepared: torch.Tensor,
) -> None:
    with torch.no_grad():
        tokens = swin(prepared).last_hidden_state  # (3, 64, 16)
        expected = tokens.mean(1) @ heads["vision_model.projection_head.weight"].T
    tokens = MedClipVision(weights).encode(pictures)
    assert tokens.shape == (3, 1, 512)
    assert tokens.dtype == np.float32
    np.testing.assert_allclose(tokens[:, 0], expected.numpy(), rtol=1e-4, atol=1e-4)


def test_as_a_grid_it_gives_swins_tokens(
    weights: Path, swin: SwinModel, pictures: FloatArray, prepared: torch.Tensor
) -> None:
    with torch.no_grad():
        expected = swin(prepared).last_hidden_state
    tower = MedClipVision(weights, grid=True)
    tokens = tower.encode(pictures)
    assert tokens.shape == (3, 64, tower.dim)
    np.testing.assert_allclose(tokens, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_a_text_is_the_projected_mean_of_the_states_1_2_and_last(
    text_tower: MedClipText, bert: BertModel, heads: dict[str, torch.Tensor]
) -> None:
    # [CLS] the liver ##s is bright . [SEP], in lower case
    ids = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 3]])
    with torch.no_grad():
        states = bert(ids, output_hidden_states=True).hidden_states
    assert len(states) == 1 + STATES_OF_TEXT  # the embeddings come first, as state 0
    means = [states[1][0].mean(0), states[2][0].mean(0), states[4][0].mean(0)]
    expected = heads["text_model.projection_head.weight"] @ (sum(means) / 3)
    vectors = text_tower.encode(["The livers is BRIGHT."])
    assert vectors.shape == (1, 512)
    np.testing.assert_allclose(vectors[0], expected.numpy(), rtol=1e-4, atol=1e-4)


def test_a_longer_neighbour_does_not_change_a_text(text_tower: MedClipText) -> None:
    texts = ["liver", "the liver is bright.", "bright", "the livers is bright."]
    alone = np.concatenate([text_tower.encode([text]) for text in texts])
    np.testing.assert_allclose(text_tower.encode(texts), alone, atol=1e-5)


def test_a_text_beyond_77_tokens_is_cut(text_tower: MedClipText) -> None:
    # [CLS], 75 words of one token each, [SEP] make 77.
    first, second = text_tower.encode(["liver " * 75 + "bright", "liver " * 75 + "the"])
    np.testing.assert_array_equal(first, second)


def test_the_75th_word_still_counts(text_tower: MedClipText) -> None:
    first, second = text_tower.encode(["liver " * 74 + "bright", "liver " * 74 + "the"])
    assert np.abs(first - second).max() > 1e-3


def test_no_texts_give_no_vectors(text_tower: MedClipText) -> None:
    assert text_tower.encode([]).shape == (0, 512)


def test_pictures_are_encoded_the_same_in_any_batch(weights: Path, pictures: FloatArray) -> None:
    tower = MedClipVision(weights)
    many = np.concatenate([pictures] * 6)  # more than a batch
    np.testing.assert_allclose(tower.encode(many)[16], tower.encode(many[16:17])[0], atol=1e-4)


def test_no_pictures_give_no_tokens(weights: Path) -> None:
    tokens = MedClipVision(weights, grid=True).encode(np.zeros((0, 256, 256), np.float32))
    assert tokens.shape == (0, 64, 16)


def test_another_picture_size_is_refused(weights: Path) -> None:
    with pytest.raises(InputError, match=r"pictures of shape \(1, 224, 224\)"):
        MedClipVision(weights).encode(np.zeros((1, 224, 224), np.float32))


def test_a_grey_picture_stays_grey_and_is_normalised_by_hand() -> None:
    inputs = PictureInput(224, (MEAN,) * 3, (STD,) * 3)
    prepared = inputs(np.full((1, 256, 256), 0.6, np.float32))
    assert prepared.shape == (1, 3, 224, 224)
    # 0.6 is the grey level 153; (0.6 - 0.5862785803043838) / 0.27950088968644304
    np.testing.assert_allclose(prepared.numpy(), 0.0490925801, rtol=1e-5)


def test_the_id_names_weights_preparation_and_tokens(weights: Path) -> None:
    from zeus_app.storage.artifacts import sha256_of

    digest = sha256_of(weights)[:12]
    assert MedClipVision(weights).id == f"medclip-swin-{digest}-32px-0.5863-0.2795"
    assert MedClipVision(weights, grid=True).id == f"medclip-swin-{digest}-grid-32px-0.5863-0.2795"
    assert MedClipText(weights).id == f"medclip-text-{digest}"


def test_the_parameters_are_frozen(weights: Path) -> None:
    tower = MedClipVision(weights)
    assert not any(p.requires_grad for p in tower.network.parameters())
    assert not tower.network.training


@pytest.mark.parametrize(
    ("lost", "tower"),
    [
        ("vision_model.model.layernorm.bias", MedClipVision),
        ("vision_model.projection_head.weight", MedClipVision),
        ("text_model.model.encoder.layer.3.output.dense.bias", MedClipText),
    ],
)
def test_a_missing_key_is_refused(
    lost: str, tower: Any, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = write(tmp_path, {key: value for key, value in state.items() if key != lost})
    name = lost.removeprefix("vision_model.").removeprefix("text_model.")
    with pytest.raises(InputError, match=name.split(".", 1)[1]):
        tower(path)


@pytest.mark.parametrize(
    ("key", "tower"),
    [
        ("vision_model.model.adapter.weight", MedClipVision),
        ("vision_model.adapter.weight", MedClipVision),
        ("text_model.model.adapter.weight", MedClipText),
    ],
)
def test_an_unknown_key_is_refused(
    key: str, tower: Any, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = write(tmp_path, {**state, key: torch.zeros(2)})
    with pytest.raises(InputError, match=r"adapter\.weight"):
        tower(path)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"image_encoder.layer": torch.zeros(1)})
    with pytest.raises(InputError, match="no key that starts with vision_model"):
        MedClipVision(path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"vision_model.x": Path("/")}, path)
    with pytest.raises(InputError, match="cannot be read"):
        MedClipVision(path)


def test_a_missing_vocabulary_is_named(weights: Path, tmp_path: Path) -> None:
    path = write(tmp_path, torch.load(weights))
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"vocab\.txt of emilyalsentzer/Bio_ClinicalBERT"):
        MedClipText(path)


def test_a_vocabulary_of_another_bert_is_refused(weights: Path, tmp_path: Path) -> None:
    path = write(tmp_path, torch.load(weights))
    (tmp_path / "vocab.txt").write_text("\n".join([*WORDS, "one more"]))
    with pytest.raises(InputError, match="tokenizer of 12 words, not the 11 of the network"):
        MedClipText(path)


@pytest.fixture(scope="module")
def resnet() -> Any:
    from torchvision.models import resnet50

    torch.manual_seed(3)
    network = resnet50(weights=None)
    network.fc = torch.nn.Linear(2048, 512, bias=False)
    return network.eval()


@pytest.fixture(scope="module")
def resnet_weights(resnet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resnet") / "pytorch_model.bin"
    state = {f"vision_model.model.{key}": value for key, value in resnet.state_dict().items()}
    torch.save({"logit_scale": torch.tensor(2.66), **state}, path)
    return path


def test_the_resnet_variant_is_torchvisions_resnet50(
    resnet_weights: Path, resnet: Any, pictures: FloatArray
) -> None:
    inputs = prepare_with_pillow(pictures[0], 224, (MEAN,) * 3, (STD,) * 3)[None]
    with torch.no_grad():
        expected = resnet(inputs).numpy()
    tower = MedClipVision(resnet_weights)
    assert tower.id.startswith("medclip-resnet50-")
    np.testing.assert_allclose(tower.encode(pictures[:1])[0], expected, rtol=1e-3, atol=1e-4)


def test_the_resnets_grid_is_what_its_pooling_averages(
    resnet_weights: Path, resnet: Any, pictures: FloatArray
) -> None:
    features: list[torch.Tensor] = []
    handle = resnet.avgpool.register_forward_hook(lambda _, inputs, __: features.append(inputs[0]))
    with torch.no_grad():
        resnet(prepare_with_pillow(pictures[0], 224, (MEAN,) * 3, (STD,) * 3)[None])
    handle.remove()
    tokens = MedClipVision(resnet_weights, grid=True).encode(pictures[:1])
    assert tokens.shape == (1, 49, 2048)
    expected = features[0][0].permute(1, 2, 0).reshape(49, 2048).numpy()  # row by row
    np.testing.assert_allclose(tokens[0], expected, rtol=1e-3, atol=3e-4)  # values reach 114


def test_the_skeletons_hold_the_published_numbers_of_parameters() -> None:
    # Swin-T 27,519,354 and ResNet-50 25,557,032 - 2,049,000 (its 1000 classes), each with its
    # projection; BERT-base with 28,996 words 108,310,272.
    assert count(MedClipVision.skeleton()) == 27_519_354 + 768 * 512
    assert count(MedClipVision.skeleton(backbone="resnet50")) == 23_508_032 + 2048 * 512
    assert count(MedClipText.skeleton()) == 108_310_272 + 768 * 512


def test_a_skeleton_holds_no_numbers() -> None:
    assert {p.device.type for p in MedClipVision.skeleton().parameters()} == {"meta"}
