"""From a question to token ids in a prompt style, and from an LLM's token ids to text."""

from collections.abc import Sequence
from typing import Any

from zeus_app.errors import InputError
from zeus_app.instructions.templates import (
    FIXED_STYLES,
    ChatTemplate,
    Messages,
    PromptStyle,
    StyleName,
    without_thinking,
)
from zeus_app.settings.registry import lookup

# LLaMA 3's template writes today's date if it gets none. A cached text must not depend on the day.
_TEMPLATE_DATE = "26 Jul 2024"  # the template's own default


class PromptTokens:
    """An LLM's tokenizer with one prompt style.

    Args:
        tokenizer: tokenizer of transformers.
        style: name of the prompt style.
        question_first: put the question before the image tokens.
        ends: ids of tokens that end an answer, in addition to the tokenizer's own.

    Raises:
        InputError: style "chat", and the tokenizer has no chat template.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        style: StyleName,
        question_first: bool = False,
        ends: Sequence[int] = (),
    ) -> None:
        self._tokenizer = tokenizer
        self._style = _make_style(style, tokenizer)
        self._question_first = question_first
        eos = tokenizer.eos_token_id
        self.ends = sorted({*ends, *([] if eos is None else [eos])})
        bos = tokenizer.bos_token_id
        begins = bos is not None and list(tokenizer("a").input_ids[:1]) == [bos]
        self._begin = (bos,) if begins else ()

    def around(self, question: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids before the image tokens, and token ids after them.

        The beginning-of-sequence token comes first if the tokenizer adds one. It never comes twice,
        although LLaMA's chat templates write it themselves.
        """
        before, after = self._style.around(question, question_first=self._question_first)
        first = self._ids(before)
        begin = () if first[:1] == self._begin else self._begin
        return (*begin, *first), self._ids(after)

    def text(self, ids: list[int]) -> str:
        """The text of an answer up to its end token, stripped, without `<think>` parts."""
        end = next((i for i, token in enumerate(ids) if token in self.ends), len(ids))
        text: str = self._tokenizer.decode(ids[:end], skip_special_tokens=True)
        text = without_thinking(text)
        if self._style.stop:
            text = text.split(self._style.stop)[0]
        return text.strip()

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids) if text else ()


def _make_style(name: StyleName, tokenizer: Any) -> PromptStyle:
    if name != "chat":
        return lookup("prompt style", name, FIXED_STYLES)
    if not tokenizer.chat_template:
        raise InputError(
            "prompt style chat, for an LLM without a chat template",
            expected="a tokenizer with a chat template",
            remedy=f"choose one of the prompt styles {', '.join(FIXED_STYLES)}",
        )

    def render(messages: Messages) -> str:
        text: str = tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # read by Qwen3's template only
            date_string=_TEMPLATE_DATE,
        )
        return text

    return ChatTemplate(render)
