import pytest
from jinja2 import TemplateError

from zeus_app.instructions.templates import (
    FIXED_STYLES,
    PAPER_PROMPT,
    SYSTEM_LINE,
    ChatTemplate,
    Messages,
    PromptStyle,
    paper_prompt,
    without_thinking,
)


def rendered(style: PromptStyle, question: str, *, question_first: bool = False) -> str:
    return "{image}".join(style.around(question, question_first=question_first))


def bracketed(messages: Messages) -> str:
    return "".join(f"[{m['role']}]{m['content']}" for m in messages) + "[assistant]"


def test_the_prompt_is_the_papers_word_for_word() -> None:
    assert PAPER_PROMPT == (
        "Please analyze the given <instance> <modality> image and give as much important "
        "information in such a <modality> for segmenting <instance> as you can."
    )


def test_instance_and_modality_take_both_of_their_places() -> None:
    assert paper_prompt("brain tumour", "MRI-T2") == (
        "Please analyze the given brain tumour MRI-T2 image and give as much important "
        "information in such a MRI-T2 for segmenting brain tumour as you can."
    )


def test_an_instance_that_looks_like_a_placeholder_is_left_as_it_is() -> None:
    assert paper_prompt("<modality>", "ADC").startswith(
        "Please analyze the given <modality> ADC image"
    )


def test_the_system_line_is_the_papers() -> None:
    assert SYSTEM_LINE == "You are a helpful health-care virtual assistant."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "doctor",
            "You are a helpful health-care virtual assistant."
            "###Doctor: {image} Where is it? ###Assistant:",
        ),
        ("xraygpt", "###Patient: <Img>{image}</Img> Where is it? ###Doctor: "),
        (
            "vicuna",
            "A chat between a curious user and an artificial intelligence assistant. The "
            "assistant gives helpful, detailed, and polite answers to the user's questions. "
            "USER: {image} Where is it? ASSISTANT:",
        ),
        ("plain", "{image} Where is it?"),
    ],
)
def test_a_style_is_word_for_word(name: str, text: str) -> None:
    assert rendered(FIXED_STYLES[name], "Where is it?") == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "doctor",
            "You are a helpful health-care virtual assistant."
            "###Doctor: Where is it? {image} ###Assistant:",
        ),
        ("xraygpt", "###Patient: Where is it? <Img>{image}</Img> ###Doctor: "),
        (
            "vicuna",
            "A chat between a curious user and an artificial intelligence assistant. The "
            "assistant gives helpful, detailed, and polite answers to the user's questions. "
            "USER: Where is it? {image} ASSISTANT:",
        ),
        ("plain", "Where is it? {image}"),
    ],
)
def test_question_first_changes_places_and_nothing_else(name: str, text: str) -> None:
    assert rendered(FIXED_STYLES[name], "Where is it?", question_first=True) == text


@pytest.mark.parametrize(
    ("name", "stop"), [("doctor", "###"), ("xraygpt", "###"), ("vicuna", "USER:"), ("plain", None)]
)
def test_a_style_stops_at_the_next_turn(name: str, stop: str | None) -> None:
    assert FIXED_STYLES[name].stop == stop


def test_the_chat_style_puts_the_image_at_the_beginning_of_the_users_message() -> None:
    assert ChatTemplate(bracketed).around("Where is it?") == (
        "[system]You are a helpful health-care virtual assistant.[user]",
        "Where is it?[assistant]",
    )


def test_the_chat_style_can_put_the_question_first() -> None:
    assert ChatTemplate(bracketed).around("Where is it?", question_first=True) == (
        "[system]You are a helpful health-care virtual assistant.[user]Where is it?",
        "[assistant]",
    )


def test_a_template_that_refuses_a_system_role_gets_its_line_in_the_users_turn() -> None:
    def without_system(messages: Messages) -> str:
        if messages[0]["role"] == "system":
            raise TemplateError("System role not supported")
        return bracketed(messages)

    assert rendered(ChatTemplate(without_system), "Where is it?") == (
        "[user]You are a helpful health-care virtual assistant.\n\n{image}Where is it?[assistant]"
    )


def test_a_thought_that_the_template_opens_is_closed() -> None:
    style = ChatTemplate(lambda messages: bracketed(messages) + "<think>\n")
    assert rendered(style, "Where is it?").endswith("[assistant]<think>\n\n</think>\n\n")


def test_a_question_cannot_move_the_image() -> None:
    assert rendered(FIXED_STYLES["plain"], "a\N{OBJECT REPLACEMENT CHARACTER}b") == "{image} ab"


def test_a_thought_is_removed() -> None:
    assert without_thinking("<think>Hm. Bright.</think>\n\nA bright mass.") == "\n\nA bright mass."


def test_a_thought_whose_beginning_stood_in_the_prompt_is_removed() -> None:
    assert without_thinking("Hm. Bright.\n</think>A bright mass.") == "A bright mass."


def test_a_thought_that_was_cut_short_leaves_nothing() -> None:
    assert without_thinking("<think>Hm. Bri") == ""


def test_an_answer_without_a_thought_stays() -> None:
    assert without_thinking("A bright mass.") == "A bright mass."
