from zeus_app.instructions.templates import (
    PAPER_PROMPT,
    SYSTEM_LINE,
    ChatTemplate,
    DoctorAssistant,
    Messages,
    paper_prompt,
)


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


def test_the_doctor_style_puts_the_image_before_the_question() -> None:
    before, after = DoctorAssistant().around("Where is it?")
    assert before + "{image}" + after == (
        "You are a helpful health-care virtual assistant."
        "###Doctor: {image}Where is it? ###Assistant:"
    )


def test_the_doctor_style_stops_at_the_next_turn() -> None:
    assert DoctorAssistant().stop == "###"


def test_the_chat_style_puts_the_image_at_the_beginning_of_the_users_message() -> None:
    def render(messages: Messages) -> str:
        return "".join(f"[{m['role']}]{m['content']}" for m in messages) + "[assistant]"

    assert ChatTemplate(render).around("Where is it?") == (
        "[system]You are a helpful health-care virtual assistant.[user]",
        "Where is it?[assistant]",
    )
