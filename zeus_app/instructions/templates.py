"""The words around an instruction: the paper's prompt, and how an LLM is spoken to.

Source: the Zeus paper, sections 3.2 (prompt) and 4.1 (system line and the Doctor/Assistant form).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

PAPER_PROMPT = (
    "Please analyze the given <instance> <modality> image and give as much important information "
    "in such a <modality> for segmenting <instance> as you can."
)
SYSTEM_LINE = "You are a helpful health-care virtual assistant."

Messages = list[dict[str, str]]


def paper_prompt(instance: str, spoken_sequence: str) -> str:
    """The paper's question about one label in one sequence.

    Args:
        instance: what is to be segmented, as one says it: "brain tumour", "liver".
        spoken_sequence: the sequence as one says it: "MRI-T2", "MRI-ADC".
    """
    # Both at once by splitting: a name that contains "<modality>" must not be replaced again.
    return instance.join(
        part.replace("<modality>", spoken_sequence) for part in PAPER_PROMPT.split("<instance>")
    )


class PromptStyle(Protocol):
    """How a question and an image become the LLM's input text."""

    @property
    def stop(self) -> str | None:
        """Where the answer ends, if the LLM goes on talking to itself."""

    def around(self, question: str) -> tuple[str, str]:
        """The text before the image tokens, and the text after them, question included."""


@dataclass(frozen=True)
class DoctorAssistant:
    """The form the paper gives for Vicuna-Radiology: `###Doctor: X_R X_Q ###Assistant: X_S`."""

    stop: str | None = "###"

    def around(self, question: str) -> tuple[str, str]:
        """The system line, the image, the question, and the assistant's turn."""
        return f"{SYSTEM_LINE}###Doctor: ", f"{question} ###Assistant:"


@dataclass(frozen=True)
class ChatTemplate:
    """The form an instruction-tuned LLM was trained with; the image opens the user's message.

    Args:
        render: messages -> text, ending where the assistant begins (a tokenizer's own template).
    """

    render: Callable[[Messages], str]
    stop: str | None = None

    def around(self, question: str) -> tuple[str, str]:
        """The rendered chat, cut where the user's message begins."""
        image = "\N{OBJECT REPLACEMENT CHARACTER}"
        text = self.render(
            [
                {"role": "system", "content": SYSTEM_LINE},
                {"role": "user", "content": image + question},
            ]
        )
        before, _, after = text.partition(image)
        return before, after
