"""The words around an instruction: the paper's question, and how each LLM is spoken to.

Source: the Zeus paper, sections 3.1 (the question) and 3.2 (system line, Doctor/Assistant form).
"""

from collections.abc import Callable
from typing import Literal

PAPER_PROMPT = (
    "Please analyze the given <instance> <modality> image and give as much important information "
    "in such a <modality> for segmenting <instance> as you can."
)
SYSTEM_LINE = "You are a helpful health-care virtual assistant."
IMAGE = "\N{OBJECT REPLACEMENT CHARACTER}"  # where the image tokens go; no prompt contains it

Messages = list[dict[str, str]]
StyleName = Literal["chat", "doctor", "xraygpt", "vicuna", "plain"]


def paper_prompt(instance: str, sequence_name: str) -> str:
    """The paper's question about one label in one sequence.

    Args:
        instance: what is to be segmented, as one says it: "brain tumour", "liver".
        sequence_name: the sequence as one says it: "MRI-T2", "MRI-ADC".
    """
    # Both at once by splitting: a name that contains "<modality>" must not be replaced again.
    return instance.join(
        part.replace("<modality>", sequence_name) for part in PAPER_PROMPT.split("<instance>")
    )


def without_thinking(text: str) -> str:
    """An answer without the `<think>…</think>` that DeepSeek-R1 and Qwen3 put before it.

    A thought that was cut short leaves nothing, for there is no answer yet.
    """
    _, closed, answer = text.rpartition("</think>")
    return answer if closed else text.partition("<think>")[0]


class PromptStyle:
    """How a question and an image become the LLM's input text.

    Attributes:
        stop: where the answer ends, if the LLM goes on talking to itself.
        image: how the image's place is written.
        joint: what stands between image and question.
    """

    stop: str | None = None
    image: str = IMAGE
    joint: str = " "

    def render(self, turn: str) -> str:
        """The whole text around the user's turn, ending where the assistant begins."""
        raise NotImplementedError

    def around(self, question: str, *, question_first: bool = False) -> tuple[str, str]:
        """The text before the image tokens, and the text after them.

        Args:
            question: what is asked.
            question_first: put the question before the image. Not the paper's order; but what
                precedes the image is then the same for all pictures asked the same, and need be
                computed only once.
        """
        asked = question.replace(IMAGE, "")
        turn = [asked, self.image] if question_first else [self.image, asked]
        before, _, after = self.render(self.joint.join(turn)).partition(IMAGE)
        return before, after


class Plain(PromptStyle):
    """Image and question alone, for LLMs that were never tuned to a form."""

    def render(self, turn: str) -> str:
        """The turn as it is."""
        return turn


class DoctorAssistant(PromptStyle):
    """The paper's form, section 3.2: `###Doctor: X_R X_Q ###Assistant: X_S`."""

    stop = "###"

    def render(self, turn: str) -> str:
        """The system line, the doctor's turn, and the assistant's beginning."""
        return f"{SYSTEM_LINE}###Doctor: {turn} ###Assistant:"


class PatientDoctor(PromptStyle):
    """The form of XrayGPT's released code (mbzuai-oryx/XrayGPT), where Vicuna-Rad is from."""

    stop = "###"
    image = f"<Img>{IMAGE}</Img>"

    def render(self, turn: str) -> str:
        """The patient's turn, and the doctor's beginning."""
        return f"###Patient: {turn} ###Doctor: "


class VicunaV1(PromptStyle):
    """The form of Vicuna v1.1 to v1.5 (lm-sys/FastChat, conversation `vicuna_v1.1`)."""

    stop = "USER:"

    def render(self, turn: str) -> str:
        """Vicuna's own system line, the user's turn, and the assistant's beginning."""
        return (
            "A chat between a curious user and an artificial intelligence assistant. "
            "The assistant gives helpful, detailed, and polite answers to the user's questions. "
            f"USER: {turn} ASSISTANT:"
        )


class ChatTemplate(PromptStyle):
    """The form an instruction-tuned LLM was trained with.

    Args:
        render_messages: messages -> text, ending where the assistant begins: a tokenizer's own
            chat template.
    """

    joint = ""  # image tokens are no text: the question begins the line, as in training

    def __init__(self, render_messages: Callable[[Messages], str]) -> None:
        self._render_messages = render_messages

    def render(self, turn: str) -> str:
        """The rendered chat; a thought that the template opens is closed, so that it answers."""
        from jinja2 import TemplateError

        user = {"role": "user", "content": turn}
        try:
            text = self._render_messages([{"role": "system", "content": SYSTEM_LINE}, user])
        except TemplateError:  # Gemma's and older Mistral's templates refuse a system role
            user["content"] = f"{SYSTEM_LINE}\n\n{turn}"
            text = self._render_messages([user])
        open_thought = text.rstrip().endswith("<think>")
        return f"{text.rstrip()}\n\n</think>\n\n" if open_thought else text


FIXED_STYLES: dict[str, PromptStyle] = {
    "doctor": DoctorAssistant(),
    "xraygpt": PatientDoctor(),
    "vicuna": VicunaV1(),
    "plain": Plain(),
}
