r"""A name that is no UTF-8 is refused, and shown with escapes."""

import os
from pathlib import Path

import pytest

from zeus_app.errors import InputError
from zeus_app.settings.file_names import check_utf8, is_utf8, readable

LATIN_1 = os.fsdecode(b"M\xfcller")


@pytest.mark.parametrize("name", ["Müller", "Mu\u0308ller", "患者", "😀", "a" * 5000, ""])
def test_utf8_is_taken_and_shown_as_it_is(name: str) -> None:
    assert is_utf8(name)
    assert readable(name) == name
    check_utf8(Path(name))


@pytest.mark.parametrize(
    ("name", "shown"),
    [(LATIN_1, r"M\xfcller"), ("\ud800", r"\ud800"), (os.fsdecode(b"\x80\xff"), r"\x80\xff")],
)
def test_what_is_no_utf8_is_refused_and_shown_with_escapes(name: str, shown: str) -> None:
    assert not is_utf8(name)
    with pytest.raises(InputError) as error:
        check_utf8(Path("/data") / name)
    assert error.value.came == f"/data/{shown}, a name that is no UTF-8"
    assert "rename it" in error.value.remedy


def test_control_characters_are_taken_and_shown_on_one_line() -> None:
    assert is_utf8("a\nb\x1b[2J")
    assert readable("a\r\nb\x1b[2J\x85\u2028") == r"a\r\nb\x1b[2J\x85\u2028"
