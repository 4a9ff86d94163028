"""The paper's question, and the prompt style of each LLM.

Source: the Zeus paper, sections 3.1 (the question) and 3.2 (system line, Doctor/Assistant form).
"""

from collections.abc import Callable
from typing import Literal

PAPER_PROMPT = (
    "Please analyze the given <instance> <modality> image and give as much important information "
    "in such a <modality> for segmenting <instance> as you can."
)
SYSTEM_LINE = "You are a helpful health-care virtual assistant."
IMAGE = "\N{OBJECT REPLACEMENT CHARACTER}"  # placeholder of the image tokens in a prompt

Messages = list[dict[str, str]]
StyleName = Literal["chat", "doctor", "xraygpt", "vicuna", "plain"]


def paper_prompt(instance: str, sequence_name: str) -> str:
    """The paper's question about one label in one sequence.

    Args:
        instance: prompt name of the label: "brain tumour", "liver".
        sequence_name: prompt name of the sequence: "MRI-T2", "MRI-ADC".
    """
    # Split first, so that an instance that contains "<modality>" is not replaced a second time.
    return instance.join(
        part.replace("<modality>", sequence_name) for part in PAPER_PROMPT.split("<instance>")
    )


def without_thinking(text: str) -> str:
    """An answer without the part `<think>…</think>` that DeepSeek-R1 and Qwen3 put before it.

    If the part was cut short, the text is empty, because there is no answer.
    """
    _, closed, answer = text.rpartition("</think>")
    return answer if closed else text.partition("<think>")[0]


class PromptStyle:
    """The form in which an LLM gets a question and an image.

    Attributes:
        stop: text that ends the answer, for LLMs that continue with the next turn.
        image: placeholder of the image, with the words around it.
        joint: text between image and question.
    """

    stop: str | None = None
    image: str = IMAGE
    joint: str = " "

    def render(self, turn: str) -> str:
        """The whole prompt around the user's turn, up to the start of the assistant's."""
        raise NotImplementedError

    def around(self, question: str, *, question_first: bool = False) -> tuple[str, str]:
        """The text before the image tokens, and the text after them.

        Args:
            question: the question.
            question_first: put the question before the image, unlike the paper. The text before the
                image is then the same for all pictures with this question, and is computed once.
        """
        words = question.replace(IMAGE, "")
        turn = [words, self.image] if question_first else [self.image, words]
        before, _, after = self.render(self.joint.join(turn)).partition(IMAGE)
        return before, after


class Plain(PromptStyle):
    """Image and question without other words, for LLMs that were not tuned to a form."""

    def render(self, turn: str) -> str:
        """Return the turn unchanged."""
        return turn


class DoctorAssistant(PromptStyle):
    """The paper's form, section 3.2: `###Doctor: X_R X_Q ###Assistant: X_S`."""

    stop = "###"

    def render(self, turn: str) -> str:
        """Return the system line, the doctor's turn, and the start of the assistant's."""
        return f"{SYSTEM_LINE}###Doctor: {turn} ###Assistant:"


class PatientDoctor(PromptStyle):
    """The form of XrayGPT's released code (mbzuai-oryx/XrayGPT), the origin of Vicuna-Rad."""

    stop = "###"
    image = f"<Img>{IMAGE}</Img>"

    def render(self, turn: str) -> str:
        """Return the patient's turn, and the start of the doctor's."""
        return f"###Patient: {turn} ###Doctor: "


class VicunaV1(PromptStyle):
    """The form of Vicuna v1.1 to v1.5 (lm-sys/FastChat, conversation `vicuna_v1.1`)."""

    stop = "USER:"

    def render(self, turn: str) -> str:
        """Return Vicuna's system line, the user's turn, and the start of the assistant's."""
        return (
            "A chat between a curious user and an artificial intelligence assistant. "
            "The assistant gives helpful, detailed, and polite answers to the user's questions. "
            f"USER: {turn} ASSISTANT:"
        )


class ChatTemplate(PromptStyle):
    """The form an instruction-tuned LLM was trained with.

    Args:
        render_messages: messages -> prompt up to the start of the assistant's turn, by the
            tokenizer's own chat template.
    """

    joint = ""  # the question begins the line, as in the tuning of these LLMs

    def __init__(self, render_messages: Callable[[Messages], str]) -> None:
        self._render_messages = render_messages

    def render(self, turn: str) -> str:
        """Render the chat. If the template opens `<think>`, close it, so that the LLM answers."""
        from jinja2 import TemplateError

        user = {"role": "user", "content": turn}
        try:
            text = self._render_messages([{"role": "system", "content": SYSTEM_LINE}, user])
        except TemplateError:  # Gemma's and older Mistral's templates refuse a system role
            user["content"] = f"{SYSTEM_LINE}\n\n{turn}"
            text = self._render_messages([user])
        opens_thinking = text.rstrip().endswith("<think>")
        return f"{text.rstrip()}\n\n</think>\n\n" if opens_thinking else text


FIXED_STYLES: dict[str, PromptStyle] = {
    "doctor": DoctorAssistant(),
    "xraygpt": PatientDoctor(),
    "vicuna": VicunaV1(),
    "plain": Plain(),
}
