import pytest

from zeus_app.recognition.text import plain


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


def test_what_is_plain_stays() -> None:
    assert plain(plain("T1 Spät нативный 조영")) == plain("T1 Spät нативный 조영")
