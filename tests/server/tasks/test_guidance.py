"""What a request says about the instructions."""

from typing import Any

import pytest

from zeus_app.errors import InputError
from zeus_app.instructions.own_texts import MAX_CHARACTERS, read_texts
from zeus_app.server.tasks.guidance import (
    own_instructions,
    read_guidance,
    refuse_settings,
    sent_texts,
)
from zeus_app.targets import load_target

PHANTOM = load_target("phantom")  # T2 and FLAIR; lesion and cyst


def test_scope_and_texts_are_read_together() -> None:
    guidance = read_guidance({"scope": "key", "instructions": {"T2/cyst": "dark"}}, PHANTOM)
    assert guidance.scope == "key"
    assert guidance.texts == {("T2", "cyst"): "dark"}


def test_an_unknown_scope_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="none, target, series, key, all"):
        read_guidance({"scope": "some"}, PHANTOM)


def test_settings_of_the_server_are_no_parameters() -> None:
    with pytest.raises(InputError, match="--conf threshold VALUE"):
        refuse_settings({"threshold": 0.3})


def texts(**request: Any) -> dict[tuple[str, str], str]:
    return read_texts(sent_texts(request, PHANTOM), PHANTOM)


def test_a_typed_text_is_the_instruction_in_every_sequence() -> None:
    assert texts(text="cyst: dark") == {("T2", "cyst"): "dark", ("FLAIR", "cyst"): "dark"}


@pytest.mark.parametrize("text", ["", "  ", None])
def test_an_empty_option_changes_nothing(text: str | None) -> None:
    assert texts(text=text) == {}


@pytest.mark.parametrize(
    "clicks",
    [
        {"label": "cyst", "foreground": [[1, 2, 3]]},  # Slicer, deepgrow
        {"label": "cyst", "cyst": [[1, 2, 3]], "lesion": [[4, 5, 3]]},  # Slicer, deepedit
        {"cyst": [[1, 2, 3]], "background": []},  # OHIF, deepedit
        {"selected_label_name": "cyst", "scribbles": True},  # Slicer, scribbles
        {"label": "cyst"},
    ],
)
def test_plain_words_are_for_the_clicked_label(clicks: dict[str, Any]) -> None:
    assert texts(text="dark", **clicks) == {("T2", "cyst"): "dark", ("FLAIR", "cyst"): "dark"}


def test_plain_words_of_clicks_without_a_name_are_for_the_label_that_these_clicks_get() -> None:
    assert {label for _, label in texts(text="dark", foreground=[[1, 2, 3]])} == {"lesion"}


def test_plain_words_for_several_labels_are_refused_with_an_example() -> None:
    for clicks in ({}, {"lesion": [[1, 2, 3]], "cyst": [[4, 5, 3]]}, {"label": "background"}):
        with pytest.raises(InputError, match="lesion: bright and round; cyst: dark") as refused:
            texts(text="dark", **clicks)
        assert refused.value.status == 400


def test_a_click_takes_the_text_of_its_label_alone() -> None:
    typed = "lesion: bright; cyst @ T2: dark"
    assert texts(text=typed, label="cyst", foreground=[[1, 2, 3]]) == {("T2", "cyst"): "dark"}
    assert {label for _, label in texts(text=typed, lesion=[[1, 2, 3]], cyst=[])} == {"lesion"}
    assert texts(text="lesion: bright", label="cyst") == {}


def test_a_text_of_the_instructions_replaces_a_typed_one() -> None:
    both = texts(text="cyst: dark; lesion: bright", instructions={"cyst": "grey"})
    assert both[("T2", "cyst")] == "grey"
    assert both[("T2", "lesion")] == "bright"


def test_own_texts_are_instructions_of_the_user_without_the_notice_of_a_machine() -> None:
    guidance = read_guidance({"instructions": {"cyst": "dark"}}, PHANTOM)
    instructions = own_instructions(guidance, PHANTOM)
    assert [(one.sequence, one.label, one.text) for one in instructions] == [
        ("T2", "cyst", "dark"), ("FLAIR", "cyst", "dark"),
    ]  # fmt: skip
    assert {(one.model, one.notice) for one in instructions} == {("user", "")}


def test_a_typed_text_may_be_as_long_as_another() -> None:
    assert texts(text="cyst: " + MAX_CHARACTERS * "x")
    with pytest.raises(InputError, match="at most 2000 characters"):
        texts(text="cyst: " + (MAX_CHARACTERS + 1) * "x")
