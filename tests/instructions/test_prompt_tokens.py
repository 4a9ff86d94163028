from typing import Any

import pytest

from tests.instructions.tiny import CHATML, byte_level_tokenizer, llama_tokenizer
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.instructions.prompt_tokens import PromptTokens

LLAMA_2 = (  # writes <s> itself, as LLaMA's templates do
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}"
)


def decoded(tokenizer: Any, ids: tuple[int, ...]) -> str:
    return str(tokenizer.decode(ids))


def test_a_llama_prompt_begins_with_its_first_token() -> None:
    tokenizer = llama_tokenizer()
    before, _ = PromptTokens(tokenizer, style="doctor").around("Where?")
    assert before[0] == tokenizer.bos_token_id == 1


def test_a_template_that_writes_the_first_token_gets_no_second_one() -> None:
    tokenizer = llama_tokenizer(template=LLAMA_2)
    before, _ = PromptTokens(tokenizer, style="chat").around("Where?")
    assert before[0] == 1
    assert before.count(1) == 1


def test_no_first_token_is_put_where_the_tokenizer_puts_none() -> None:
    tokenizer = byte_level_tokenizer()
    before, _ = PromptTokens(tokenizer, style="doctor").around("Where?")
    assert tokenizer.bos_token_id not in before


def test_a_plain_llama_prompt_has_its_first_token_before_the_image() -> None:
    before, after = PromptTokens(llama_tokenizer(), style="plain").around("Where?")
    assert before == (1,)
    assert 1 not in after


def test_both_sides_of_the_image_are_the_chat_templates() -> None:
    tokenizer = byte_level_tokenizer()
    before, after = PromptTokens(tokenizer, style="chat").around("Where?")
    assert decoded(tokenizer, before) == (
        "<|im_start|>system\nYou are a helpful health-care virtual assistant.<|im_end|>\n"
        "<|im_start|>user\n"
    )
    assert decoded(tokenizer, after) == "Where?<|im_end|>\n<|im_start|>assistant\n"


def test_with_the_question_first_only_the_templates_end_follows_the_image() -> None:
    tokenizer = byte_level_tokenizer()
    _, after = PromptTokens(tokenizer, style="chat", question_first=True).around("Where?")
    assert decoded(tokenizer, after) == "<|im_end|>\n<|im_start|>assistant\n"


def test_thinking_is_switched_off_in_a_template_that_has_the_switch() -> None:
    qwen3 = CHATML.replace(
        "{% endif %}",
        "{% if enable_thinking is defined and not enable_thinking %}"
        "<think>\n\n</think>\n\n{% endif %}{% endif %}",
    )
    tokenizer = byte_level_tokenizer(template=qwen3)
    _, after = PromptTokens(tokenizer, style="chat").around("Where?")
    assert decoded(tokenizer, after).endswith("assistant\n<think>\n\n</think>\n\n")


def test_a_template_that_writes_the_date_writes_the_same_every_day() -> None:
    llama_3 = (
        "{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}"
        "{% endif %}Today Date: {{ date_string }}." + CHATML
    )
    tokenizer = byte_level_tokenizer(template=llama_3)
    before, _ = PromptTokens(tokenizer, style="chat").around("Where?")
    assert decoded(tokenizer, before).startswith("Today Date: 26 Jul 2024.")


def test_an_answer_ends_at_the_first_token_that_ends_it() -> None:
    tokenizer = byte_level_tokenizer()
    ids = [*tokenizer("a mass").input_ids, tokenizer.eos_token_id, *tokenizer("x").input_ids]
    assert PromptTokens(tokenizer, style="chat").text(ids) == "a mass"


def test_a_model_may_name_further_tokens_that_end_an_answer() -> None:
    tokenizer = byte_level_tokenizer(extra=("<|eot_id|>",))
    end = tokenizer.convert_tokens_to_ids("<|eot_id|>")
    tokens = PromptTokens(tokenizer, style="chat", ends=[end])
    assert tokens.text([*tokenizer("a mass").input_ids, end, end]) == "a mass"


def test_an_answer_that_continues_with_the_next_turn_is_cut_there() -> None:
    tokenizer = byte_level_tokenizer()
    tokens = PromptTokens(tokenizer, style="doctor")
    assert tokens.text(tokenizer(" a mass ###Doctor: and").input_ids) == "a mass"


def test_chat_without_a_chat_template_is_refused_with_the_styles_there_are() -> None:
    with pytest.raises(InputError, match="doctor, xraygpt, vicuna, plain"):
        PromptTokens(byte_level_tokenizer(template=None), style="chat")


def test_an_unknown_style_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'doctor'"):
        PromptTokens(byte_level_tokenizer(), style="docter")  # type: ignore[arg-type]
