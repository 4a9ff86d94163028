import subprocess
import sys
from typing import Any

import pytest
import torch

from zeus_app.errors import CancelledError, InputError
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.templates import paper_prompt
from zeus_app.weights import locate

LONG = paper_prompt("brain tumour", "MRI-T1 with contrast")
SHORT = "What is an MRI?"
CHAT = (
    "<|im_start|>system\nYou are a helpful health-care virtual assistant.<|im_end|>\n"
    "<|im_start|>user\nWhat is an MRI?<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def llm() -> FrozenLlm:
    return FrozenLlm(locate("smollm2-135m"), precision="float32")


@pytest.fixture(scope="module")
def transformers_own(llm: FrozenLlm) -> tuple[Any, Any]:
    """The model and the tokenizer as transformers loads them from the unpacked folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gguf = locate("smollm2-135m")
    folder = gguf.with_name("SmolLM2-135M-Instruct.Q4_1-b179c9523d0e-float16")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def image_tokens(count: int, hidden: int, *, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(count, 4, hidden, generator=torch.Generator().manual_seed(seed))


def test_its_hidden_size_is_smollm2s(llm: FrozenLlm) -> None:
    assert llm.hidden == 576


def test_its_id_names_the_file_its_hash_its_style_and_its_precision(llm: FrozenLlm) -> None:
    assert llm.id == "SmolLM2-135M-Instruct.Q4_1-b179c9523d0e-chat-float32"


def test_without_an_image_it_generates_the_text_of_transformers(
    llm: FrozenLlm, transformers_own: tuple[Any, Any]
) -> None:
    model, tokenizer = transformers_own
    ids = tokenizer(CHAT, add_special_tokens=False, return_tensors="pt").input_ids
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8
    )
    expected = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
    assert llm.generate(None, [SHORT], max_tokens=8) == [expected]


def test_a_batch_generates_the_same_texts_as_its_prompts_one_by_one(llm: FrozenLlm) -> None:
    tokens = image_tokens(2, llm.hidden)
    alone = [
        llm.generate(tokens[i : i + 1], [prompt], max_tokens=8)[0]
        for i, prompt in enumerate([LONG, SHORT])
    ]
    assert llm.generate(tokens, [LONG, SHORT], max_tokens=8) == alone


def test_it_can_be_stopped_between_two_tokens(llm: FrozenLlm) -> None:
    called = []

    def pause() -> None:
        called.append(1)
        if len(called) == 3:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        llm.generate(None, [SHORT], max_tokens=8, pause=pause)
    assert len(called) == 3


def test_a_shorter_neighbour_does_not_move_the_hidden_state(llm: FrozenLlm) -> None:
    tokens = image_tokens(2, llm.hidden)
    together = llm.last_hidden(tokens, [SHORT, LONG])
    alone = llm.last_hidden(tokens[:1], [SHORT])
    assert torch.allclose(together[:1], alone, atol=1e-3, rtol=1e-3)


def test_the_hidden_state_is_that_of_the_last_prompt_token(
    llm: FrozenLlm, transformers_own: tuple[Any, Any]
) -> None:
    model, tokenizer = transformers_own
    ids = tokenizer(CHAT, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states[-1]
    assert torch.allclose(llm.last_hidden(None, [SHORT]), states[:, -1], atol=1e-3, rtol=1e-3)


def test_gradients_reach_the_image_tokens_of_every_row(llm: FrozenLlm) -> None:
    tokens = image_tokens(2, llm.hidden).requires_grad_()
    torch.autograd.backward(llm.last_hidden(tokens, [SHORT, LONG]).square().sum())
    assert tokens.grad is not None
    assert bool(torch.isfinite(tokens.grad).all())
    assert bool((tokens.grad.abs().sum(dim=(1, 2)) > 0).all())


def test_its_own_parameters_take_no_gradient(llm: FrozenLlm) -> None:
    assert not any(parameter.requires_grad for parameter in llm.model.parameters())


def test_another_image_gives_another_hidden_state(llm: FrozenLlm) -> None:
    first = llm.last_hidden(image_tokens(1, llm.hidden, seed=1), [SHORT])
    second = llm.last_hidden(image_tokens(1, llm.hidden, seed=2), [SHORT])
    assert not torch.allclose(first, second, atol=1e-2)


def test_no_prompts_give_no_texts(llm: FrozenLlm) -> None:
    assert llm.generate(None, [], max_tokens=8) == []


def test_fewer_image_tokens_than_prompts_are_refused(llm: FrozenLlm) -> None:
    with pytest.raises(InputError, match="one set of image tokens for each prompt"):
        llm.generate(image_tokens(1, llm.hidden), [SHORT, LONG], max_tokens=8)


def test_importing_it_does_not_import_transformers() -> None:
    check = "import sys, zeus_app.instructions.llm; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
