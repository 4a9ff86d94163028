from pathlib import Path

import numpy as np
import pytest
import torch

from zeus_app.encoders.text import MiniLmEncoder
from zeus_app.errors import InputError
from zeus_app.types import FloatArray
from zeus_app.weights import locate

LONG = "The tumour shows a high signal in T2 with oedema around it, and no midline shift."


@pytest.fixture(scope="module")
def encoder() -> MiniLmEncoder:
    return MiniLmEncoder(locate("minilm-l6"))


def test_each_text_gives_a_vector_of_384(encoder: MiniLmEncoder) -> None:
    vectors = encoder.encode(["liver", LONG])
    assert vectors.shape == (2, 384)
    assert vectors.dtype == np.float32


def test_a_vector_is_the_mean_of_transformers_own_token_states(encoder: MiniLmEncoder) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = locate("minilm-l6").parent
    with torch.no_grad():
        tokens = AutoTokenizer.from_pretrained(folder)(LONG, return_tensors="pt")
        states = AutoModel.from_pretrained(folder)(**tokens).last_hidden_state
    np.testing.assert_allclose(encoder.encode([LONG])[0], states[0].mean(0).numpy(), atol=1e-5)


def test_a_longer_neighbour_does_not_change_a_vector(encoder: MiniLmEncoder) -> None:
    alone = encoder.encode(["liver"])[0]
    np.testing.assert_allclose(encoder.encode(["liver", LONG])[0], alone, atol=1e-5)


def test_similar_texts_have_a_higher_cosine_than_different_ones(encoder: MiniLmEncoder) -> None:
    left, right, other = encoder.encode(["the left kidney", "the right kidney", "a red car"])

    def cosine(a: FloatArray, b: FloatArray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert cosine(left, right) > 0.8 > 0.4 > cosine(left, other)


def test_no_texts_give_no_vectors(encoder: MiniLmEncoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


def test_a_text_beyond_256_tokens_is_cut(encoder: MiniLmEncoder) -> None:
    # [CLS], 254 words of one token each, [SEP] make 256.
    first, second = encoder.encode(["liver " * 254 + "heart", "liver " * 254 + "kidney"])
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_its_id_carries_the_hash_of_the_weights(encoder: MiniLmEncoder) -> None:
    assert encoder.id == "minilm-l6-53aa51172d14"


def test_a_folder_without_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no sentence encoder"):
        MiniLmEncoder(tmp_path / "model.safetensors")
