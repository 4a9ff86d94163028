import pytest

from zeus_app.recognition.text import is_caseless, plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T1 Spät", "t1 spat"),
        ("PÓS-CONTRASTE", "pos-contraste"),
        ("kontrastl\u0131", "kontrastli"),
        ("İVKM", "ivkm"),
        ("før", "for"),
        ("нативный", "нативныи"),
        ("χωρίς", "χωρισ"),
        ("조영전", "조영전"),
        ("造影前", "造影前"),
    ],
)
def test_case_and_accents_do_not_matter(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_scripts_without_capitals_are_told() -> None:
    assert [is_caseless(text) for text in ("造影", "조영", "ניגוד", "т1", "t", "12")] == [
        True, True, True, False, False, True,
    ]  # fmt: skip


def test_what_is_plain_stays() -> None:
    assert plain(plain("T1 Spät нативный 조영")) == plain("T1 Spät нативный 조영")
