from pathlib import Path

import pytest
import torch
from torch import nn

from tests.instructions.tiny import byte_level_tokenizer, save, tiny_model
from zeus_app.errors import InputError
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.lora import LoraWeights, attach
from zeus_app.instructions.precision import Precision

QUESTIONS = ["give the tumour", "analyze the given brain image please"]
RANK = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = byte_level_tokenizer()
    model = tiny_model("qwen2", tokenizer)
    return save(tmp_path_factory.mktemp("qwen2") / "qwen2", model, tokenizer)


@pytest.fixture
def llm(folder: Path) -> FrozenLlm:
    return FrozenLlm(folder, precision="float32", lora_rank=RANK)


@pytest.fixture
def lora(llm: FrozenLlm) -> LoraWeights:
    assert llm.lora is not None
    return llm.lora


def images(*, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(seed))


def disturb(lora: LoraWeights) -> None:
    with torch.no_grad():
        for parameter in lora.parameters():
            parameter.add_(0.3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_at_initialisation_it_changes_nothing(folder: Path, precision: Precision) -> None:
    plain = FrozenLlm(folder, precision=precision)
    adapted = FrozenLlm(folder, precision=precision, lora_rank=RANK)
    # Without reuse both compute in the same order; then equal means equal in every bit.
    plain.prefixes.usable = adapted.prefixes.usable = False
    assert torch.equal(
        adapted.last_hidden(images(), QUESTIONS), plain.last_hidden(images(), QUESTIONS)
    )


def test_random_numbers_drawn_while_loading_change_no_matrix(folder: Path) -> None:
    """So that every process writes with the same LLM, and no text twice."""
    made = []
    for seed, drawn in ((0, 0), (0, 5), (1, 0)):
        torch.manual_seed(seed)
        torch.rand(drawn)
        made.append(FrozenLlm(folder, precision="float32", lora_rank=RANK).fingerprint())
    assert made[0] == made[1] != made[2]


def test_each_attention_projection_gets_its_two_matrices(lora: LoraWeights) -> None:
    names = {
        f"model/layers/{layer}/self_attn/{part}_proj/lora_{matrix}/weight"
        for layer in range(2)
        for part in "qkvo"
        for matrix in "AB"
    }
    assert set(lora.matrices) == names


def test_only_its_parameters_learn(llm: FrozenLlm, lora: LoraWeights) -> None:
    learning = {id(p) for p in llm.model.parameters() if p.requires_grad}
    assert learning == {id(p) for p in lora.parameters()}


def test_its_size_is_rank_times_the_widths_it_joins(lora: LoraWeights) -> None:
    # hidden 32; q and o are 32 -> 32, k and v (two of four heads) 32 -> 16; two layers
    widths = 2 * (32 + 32) + 2 * (32 + 16)
    assert sum(p.numel() for p in lora.parameters()) == 2 * RANK * widths


def test_it_is_float32_beside_a_half_precision_llm(folder: Path) -> None:
    llm = FrozenLlm(folder, precision="bfloat16", lora_rank=RANK)
    assert llm.lora is not None
    assert {p.dtype for p in llm.lora.parameters()} == {torch.float32}


def test_gradients_reach_every_matrix_that_can_have_one_at_first(
    llm: FrozenLlm, lora: LoraWeights
) -> None:
    torch.autograd.backward(llm.last_hidden(images(), QUESTIONS).square().sum())
    # While B is zero, A cannot matter yet.
    for name, parameter in lora.matrices.items():
        assert parameter.grad is not None
        assert (parameter.grad.abs().sum() > 0) == ("lora_B" in name), name


def test_gradients_through_the_reused_beginning_are_those_of_the_whole_sequence(
    llm: FrozenLlm, lora: LoraWeights
) -> None:
    disturb(lora)
    parameters = list(lora.parameters())
    reused = torch.autograd.grad(llm.last_hidden(images(), QUESTIONS).sum(), parameters)
    llm.prefixes.usable = False
    recomputed = torch.autograd.grad(llm.last_hidden(images(), QUESTIONS).sum(), parameters)
    assert all(
        torch.allclose(a, b, atol=1e-4, rtol=1e-4) for a, b in zip(reused, recomputed, strict=True)
    )


def test_a_changed_matrix_changes_the_next_state_at_once(llm: FrozenLlm, lora: LoraWeights) -> None:
    before = llm.last_hidden(images(), QUESTIONS)
    disturb(lora)
    assert not torch.allclose(llm.last_hidden(images(), QUESTIONS), before, atol=1e-2)


def test_it_takes_part_in_writing(llm: FrozenLlm, lora: LoraWeights) -> None:
    before = llm.generate(images(), QUESTIONS, max_tokens=8)
    disturb(lora)
    assert llm.generate(images(), QUESTIONS, max_tokens=8) != before


def test_a_callers_checkpoint_holds_it_and_not_the_llm(lora: LoraWeights) -> None:
    net = nn.ModuleDict({"projector": nn.Linear(2, 2), "lora": lora})
    names = set(net.state_dict())
    assert len(names) == 2 + 16
    assert "lora.matrices.model/layers/0/self_attn/q_proj/lora_A/weight" in names


def test_loading_a_checkpoint_changes_the_llm(folder: Path, llm: FrozenLlm) -> None:
    assert llm.lora is not None
    disturb(llm.lora)
    fresh = FrozenLlm(folder, precision="float32", lora_rank=RANK)
    assert fresh.lora is not None
    fresh.lora.load_state_dict(llm.lora.state_dict())
    assert torch.equal(fresh.last_hidden(images(), QUESTIONS), llm.last_hidden(images(), QUESTIONS))


def test_moving_the_module_that_holds_it_leaves_it_with_the_llm(lora: LoraWeights) -> None:
    net = nn.ModuleDict({"projector": nn.Linear(2, 2), "lora": lora}).to(torch.float64)
    assert {p.dtype for p in net["lora"].parameters()} == {torch.float32}
    assert next(net["projector"].parameters()).dtype == torch.float64


def test_its_fingerprint_follows_its_values(lora: LoraWeights) -> None:
    before = lora.fingerprint()
    assert lora.fingerprint() == before
    disturb(lora)
    assert lora.fingerprint() != before


def test_a_model_without_attention_is_refused() -> None:
    with pytest.raises(InputError, match="LoRA of rank 4 on Sequential"):
        attach(nn.Sequential(nn.Linear(2, 2)), rank=4)


def test_a_model_that_is_loaded_while_inferring_can_still_learn(folder: Path) -> None:
    with torch.inference_mode():
        llm = FrozenLlm(folder, precision="float32", lora_rank=RANK)
    torch.autograd.backward(llm.last_hidden(images(), QUESTIONS).sum())
    assert llm.lora is not None
    assert all(p.grad is not None for p in llm.lora.parameters())
