"""The embedding path: sharing the text before the image changes no state and no text."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from tests.instructions.tiny import byte_level_tokenizer, llama_tokenizer, save, tiny_model
from zeus_app.errors import InputError
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.prompt_tokens import PromptTokens

QUESTIONS = ["give the tumour", "analyze the given brain image please", "give the tumour"]
HIDDEN, TOKENS = 32, 3
KINDS = {
    "llama": llama_tokenizer,
    "qwen2": byte_level_tokenizer,
    "qwen3": byte_level_tokenizer,
    "mistral": byte_level_tokenizer,  # with a sliding window, shorter than the sequences
}
SLIDING, WINDOW = "mistral", 16


def saved(kind: str, within: pytest.TempPathFactory) -> Path:
    tokenizer = KINDS[kind]()
    settings = {"sliding_window": WINDOW} if kind == SLIDING else {}
    return save(within.mktemp(kind) / kind, tiny_model(kind, tokenizer, **settings), tokenizer)


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(request.param, tmp_path_factory)


def load(folder: Path, **settings: Any) -> FrozenLlm:
    return FrozenLlm(folder, precision="float32", prompt_style="doctor", **settings)


def images(count: int = len(QUESTIONS), *, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, TOKENS, HIDDEN, generator=torch.Generator().manual_seed(seed))


def row_by_row(
    folder: Path, pictures: torch.Tensor, *, question_first: bool = False
) -> torch.Tensor:
    """Each row's whole sequence through transformers' own model: no padding, no reuse."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = PromptTokens(tokenizer, style="doctor", question_first=question_first)
    states = []
    for picture, question in zip(pictures, QUESTIONS, strict=True):
        prefix, suffix = (
            model.get_input_embeddings()(torch.tensor(ids)) for ids in prompt.around(question)
        )
        sequence = torch.cat([prefix, picture, suffix])[None]
        out = model(inputs_embeds=sequence, output_hidden_states=True)
        states.append(out.hidden_states[-1][0, -1])
    return torch.stack(states)


def gradient(states: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    (gradient_of_pictures,) = torch.autograd.grad(states.square().sum(), pictures)
    return gradient_of_pictures


@pytest.mark.parametrize("question_first", [False, True])
def test_sharing_the_prefix_changes_no_state(folder: Path, question_first: bool) -> None:
    llm = load(folder, question_first=question_first)
    expected = row_by_row(folder, images(), question_first=question_first)
    assert torch.allclose(llm.last_hidden(images(), QUESTIONS), expected, atol=1e-4)
    assert expected.std() > 0.5


@pytest.mark.parametrize("question_first", [False, True])
def test_sharing_the_prefix_changes_no_gradient(folder: Path, question_first: bool) -> None:
    llm = load(folder, question_first=question_first)
    pictures, pictures_for_rows = images().requires_grad_(), images().requires_grad_()
    shared_gradient = gradient(llm.last_hidden(pictures, QUESTIONS), pictures)
    expected = gradient(
        row_by_row(folder, pictures_for_rows, question_first=question_first), pictures_for_rows
    )
    assert torch.allclose(shared_gradient, expected, atol=1e-4, rtol=1e-4)
    assert bool((expected.abs().sum(dim=(1, 2)) > 0).all())


def test_a_call_does_not_change_the_cached_prefix(folder: Path) -> None:
    llm = load(folder)
    first = llm.last_hidden(images(), QUESTIONS)
    llm.last_hidden(images(seed=1), QUESTIONS)
    llm.last_hidden(images(1, seed=2), QUESTIONS[:1])
    assert torch.equal(llm.last_hidden(images(), QUESTIONS), first)


def test_a_prefix_cached_in_inference_mode_can_be_used_in_training(folder: Path) -> None:
    llm = load(folder)
    with torch.inference_mode():
        llm.last_hidden(images(), QUESTIONS)
    pictures = images().requires_grad_()
    assert gradient(llm.last_hidden(pictures, QUESTIONS), pictures).abs().sum() > 0


@pytest.mark.parametrize("question_first", [False, True])
def test_a_batch_generates_the_same_texts_as_its_rows_one_by_one(
    folder: Path, question_first: bool
) -> None:
    llm = load(folder, question_first=question_first)
    alone = [
        llm.generate(images()[i : i + 1], [question], max_tokens=12)[0]
        for i, question in enumerate(QUESTIONS)
    ]
    assert llm.generate(images(), QUESTIONS, max_tokens=12) == alone
    assert len(set(alone)) == 3


def test_it_generates_the_text_of_transformers_for_the_same_embeddings(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prefix, suffix = (
        model.get_input_embeddings()(torch.tensor(ids))
        for ids in PromptTokens(tokenizer, style="doctor").around(QUESTIONS[0])
    )
    sequence = torch.cat([prefix, images()[0], suffix])[None]
    out = model.generate(inputs_embeds=sequence, do_sample=False, max_new_tokens=12)
    expected = tokenizer.decode(out[0], skip_special_tokens=True).split("###")[0].strip()
    assert load(folder).generate(images()[:1], QUESTIONS[:1], max_tokens=12) == [expected]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_profile_and_not_the_training_says_in_which_numbers_the_llm_computes(
    folder: Path, precision: Any
) -> None:
    dtypes = set()

    def note_dtype(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(module, nn.Linear):
            dtypes.add(output.dtype)

    def states() -> torch.Tensor:
        llm = FrozenLlm(folder, precision=precision, prompt_style="doctor")
        return llm.last_hidden(images(), QUESTIONS)

    with register_module_forward_hook(note_dtype):
        outside = states()
        with torch.autocast("cpu", torch.bfloat16):
            within = states()
    assert dtypes == {getattr(torch, precision)}
    assert torch.equal(within, outside)


@pytest.mark.parametrize("kind_without", ["mamba", "qwen3_next"])
def test_an_llm_without_a_layer_of_attention_is_refused(tmp_path: Path, kind_without: str) -> None:
    tokenizer = byte_level_tokenizer()
    model = tiny_model(kind_without, tokenizer)  # of two layers; qwen3_next's fourth is attention
    with pytest.raises(InputError, match=f"type {kind_without}, which has no layer of attention"):
        load(save(tmp_path / kind_without, model, tokenizer))


def test_no_prompts_have_no_states(folder: Path) -> None:
    assert load(folder).last_hidden(images(0), []).shape == (0, HIDDEN)


def test_a_batch_too_large_for_memory_is_generated_in_parts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import GenerationMixin

    llm = load(folder)
    texts = llm.generate(images(), QUESTIONS, max_tokens=4)
    generate = GenerationMixin.generate

    def small_memory(self: Any, *, inputs_embeds: torch.Tensor, **settings: Any) -> Any:
        if len(inputs_embeds) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(self, inputs_embeds=inputs_embeds, **settings)

    monkeypatch.setattr(GenerationMixin, "generate", small_memory)
    assert llm.generate(images(), QUESTIONS, max_tokens=4) == texts


def test_a_models_own_repetition_penalty_does_not_change_its_texts(
    folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.generation_config.repetition_penalty = 5.0
    penalised = save(tmp_path / "penalised", model, AutoTokenizer.from_pretrained(folder))
    texts, plain = (
        load(weights).generate(images(), QUESTIONS, max_tokens=12)
        for weights in (penalised, folder)
    )
    assert texts == plain
