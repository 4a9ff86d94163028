"""One layer of an LLM: read alone, equal to the layer of the whole model, and frozen."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.instructions.tiny import byte_level_tokenizer, save, save_gguf, tiny_model
from zeus_app.baselines.frozen_layer import (
    LAYER_CLASSES,
    LlmLayer,
    random_layer,
    read_architecture,
    read_layer,
)
from zeus_app.errors import InputError

TOKENIZER = byte_level_tokenizer()
ARCHITECTURE = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}


def tokens(width: int = 32) -> torch.Tensor:
    return torch.randn(2, 9, width, generator=torch.Generator().manual_seed(1))


def answer_of_the_whole_model(model: Any, index: int, states: torch.Tensor) -> torch.Tensor:
    """What transformers' own layer answers in plain attention, which has no mask unless given."""
    model.set_attn_implementation("eager")
    angle = torch.arange(states.shape[1])[None, :, None].float()
    layer = model.model.layers[index]
    answer: torch.Tensor = layer(states, position_embeddings=(angle.cos(), angle.sin()))
    return answer


@pytest.mark.parametrize("kind", LAYER_CLASSES)
def test_it_answers_as_the_layer_of_the_whole_model(kind: str, tmp_path: Path) -> None:
    model = tiny_model(kind, TOKENIZER)
    layer = LlmLayer(read_layer(save(tmp_path, model, TOKENIZER), 1), frozen=True)
    expected = answer_of_the_whole_model(model, 1, tokens())
    torch.testing.assert_close(layer(tokens()), expected, rtol=1e-4, atol=1e-4)


def test_the_index_chooses_the_layer(tmp_path: Path) -> None:
    model = tiny_model("llama", TOKENIZER)
    save(tmp_path, model, TOKENIZER)
    for index in (0, 1):
        read = read_layer(tmp_path, index).state_dict()
        assert torch.equal(read["mlp.up_proj.weight"], model.model.layers[index].mlp.up_proj.weight)


def test_it_is_read_from_several_shards(tmp_path: Path) -> None:
    model = tiny_model("llama", TOKENIZER)
    save(tmp_path, model, TOKENIZER, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    read = read_layer(tmp_path, 1).state_dict()
    for name, tensor in model.model.layers[1].state_dict().items():
        assert torch.equal(read[name], tensor)


def test_shards_of_other_layers_are_not_needed(tmp_path: Path) -> None:
    save(tmp_path, tiny_model("llama", TOKENIZER), TOKENIZER, max_shard_size="5KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    needed = {file for name, file in index.items() if ".layers.1." in name}
    for path in tmp_path.glob("*.safetensors"):
        if path.name not in needed:
            path.unlink()
    assert read_layer(tmp_path, 1) is not None


def test_it_is_read_from_a_gguf_file(tmp_path: Path) -> None:
    model = tiny_model("llama", TOKENIZER)
    path = save_gguf(tmp_path / "tiny.gguf", model, TOKENIZER)
    read = read_layer(path, 1).state_dict()["mlp.up_proj.weight"]
    torch.testing.assert_close(read, model.model.layers[1].mlp.up_proj.weight, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_layer_that_is_not_there_is_refused_with_those_that_are(
    index: int, tmp_path: Path
) -> None:
    save(tmp_path, tiny_model("llama", TOKENIZER), TOKENIZER)
    with pytest.raises(InputError, match=r"layer -?\d .*from 0 to 1"):
        read_layer(tmp_path, index)


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        read_layer(tmp_path, 0)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    save(tmp_path, tiny_model("llama", TOKENIZER), TOKENIZER)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="cannot be read"):
        read_layer(tmp_path, 0)


def test_an_incomplete_layer_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = save(tmp_path, tiny_model("llama", TOKENIZER), TOKENIZER) / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path)
    with pytest.raises(InputError, match=r"does not fit its config\.json"):
        read_layer(tmp_path, 1)


@pytest.mark.parametrize("text", ["", "[]", '{"model_type": "llama"}'])
def test_a_config_that_describes_no_llm_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match="does not describe an LLM"):
        read_architecture(tmp_path)


def test_another_architecture_is_refused() -> None:
    with pytest.raises(InputError, match="model_type 'gpt2'"):
        random_layer({**ARCHITECTURE, "model_type": "gpt2"}, 0, seed=0)


def test_every_token_attends_to_later_ones() -> None:
    layer = LlmLayer(random_layer(ARCHITECTURE, 0, seed=0), frozen=True)
    first = tokens(16)
    second = first.clone()
    second[:, -1] += 1
    assert not torch.allclose(layer(first)[:, 0], layer(second)[:, 0])


def test_a_random_layer_is_the_same_for_the_same_seed() -> None:
    torch.manual_seed(1)
    first = random_layer(ARCHITECTURE, 0, seed=3).state_dict()
    torch.manual_seed(2)
    second = random_layer(ARCHITECTURE, 0, seed=3).state_dict()
    other = random_layer(ARCHITECTURE, 0, seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["mlp.up_proj.weight"], other["mlp.up_proj.weight"])


def test_a_random_layer_beyond_the_last_is_refused() -> None:
    with pytest.raises(InputError, match="layer 3 of llama"):
        random_layer(ARCHITECTURE, 3, seed=0)


def frozen_in_a_network(seed: int = 0) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 16), LlmLayer(random_layer(ARCHITECTURE, 0, seed=seed), frozen=True)
    )


def test_gradients_pass_through_a_frozen_layer() -> None:
    net = frozen_in_a_network()
    pixels = tokens(4).requires_grad_()
    net(pixels).square().mean().backward()
    assert pixels.grad is not None
    assert pixels.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in net[1].parameters())


def test_a_frozen_layer_is_not_in_the_state_dict() -> None:
    assert set(frozen_in_a_network().state_dict()) == {"0.weight", "0.bias", "1.fingerprint"}


def test_a_state_dict_without_the_frozen_layer_loads_strictly() -> None:
    first, second = frozen_in_a_network(), frozen_in_a_network()
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(second(tokens(4)), first(tokens(4)))


def test_weights_around_another_frozen_layer_are_refused() -> None:
    with pytest.raises(InputError, match="another frozen LLM layer"):
        frozen_in_a_network(1).load_state_dict(frozen_in_a_network(0).state_dict())


def test_a_trained_layer_learns_and_is_in_the_state_dict() -> None:
    layer = LlmLayer(random_layer(ARCHITECTURE, 0, seed=0), frozen=False)
    layer(tokens(16)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    assert "layer.mlp.up_proj.weight" in layer.state_dict()


def test_a_frozen_layer_evaluates_while_its_network_trains() -> None:
    layer = LlmLayer(random_layer(ARCHITECTURE, 0, seed=0), frozen=True)
    nn.Sequential(layer).train()
    assert not layer.layer.training
