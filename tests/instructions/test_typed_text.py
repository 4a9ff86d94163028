"""A typed text names labels as people write, or is refused with an example for the target."""

import pytest

from zeus_app.errors import InputError
from zeus_app.instructions.typed_text import read_typed_text, text_example
from zeus_app.targets import load_target

PHANTOM = load_target("phantom")  # T2 and FLAIR; lesion and cyst
BRAIN = load_target("brain_tumour")  # one label, tumour


@pytest.mark.parametrize(
    ("typed", "texts"),
    [
        ("", {}),
        (" ; ;", {}),
        ("lesion: bright", {"lesion": "bright"}),
        ("lesion: bright; cyst: dark", {"lesion": "bright", "cyst": "dark"}),
        (" Lesion :bright;CYST:  dark ;", {"lesion": "bright", "cyst": "dark"}),
        ("lesion: bright; not calcified", {"lesion": "bright; not calcified"}),
        ("lesion: bright; cyst: dark; lesion: round", {"lesion": "bright; round", "cyst": "dark"}),
        ("lesion: signal: high", {"lesion": "signal: high"}),
        ("lesion @ flair: bright", {"FLAIR/lesion": "bright"}),
        ("lesion@T2: dark; lesion: round", {"T2/lesion": "dark", "lesion": "round"}),
    ],
)
def test_words_belong_to_the_label_before_them(typed: str, texts: dict[str, str]) -> None:
    assert read_typed_text(typed, PHANTOM) == texts


def test_plain_words_are_for_the_clicked_label() -> None:
    assert read_typed_text("dark", PHANTOM, label="cyst") == {"cyst": "dark"}
    texts = read_typed_text("dark; lesion: bright", PHANTOM, label="cyst")
    assert texts == {"cyst": "dark", "lesion": "bright"}


def test_plain_words_are_for_the_only_label() -> None:
    assert read_typed_text("ring; bright", BRAIN) == {"tumour": "ring; bright"}


@pytest.mark.parametrize(
    ("typed", "came"),
    [
        ("bright", "text 'bright' without the name of a label"),
        ("bright; cyst: dark", "text 'bright' without the name of a label"),
        ("lesion:", "text 'lesion:' without words"),
        ("lesoin: bright", "text for 'lesoin'"),
        ("lesion @ T9: bright", "text for 'T9'"),
        (": bright", "text for ''"),
    ],
)
def test_what_has_no_label_or_no_words_is_refused_with_an_example(typed: str, came: str) -> None:
    with pytest.raises(InputError) as refused:
        read_typed_text(typed, PHANTOM)
    assert refused.value.came == came
    assert refused.value.status == 400
    assert "lesion: bright and round; cyst: dark with a bright rim" in str(refused.value)


def test_the_nearest_label_is_told() -> None:
    with pytest.raises(InputError, match="did you mean 'lesion'"):
        read_typed_text("lesoin: bright", PHANTOM)


def test_an_example_for_one_label_names_this_label() -> None:
    assert text_example(BRAIN) == "tumour: bright and round"
