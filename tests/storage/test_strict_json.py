"""What a client's JSON may hold, so that it can be stored, sent and read again."""

import json

import pytest

from zeus_app.storage.strict_json import MAX_BYTES, MAX_DEPTH, check_json, parse_strictly


def test_ordinary_json_is_read_as_it_stands() -> None:
    assert parse_strictly('{"a": [1, 2.5, true, null, "ü"]}') == {"a": [1, 2.5, True, None, "ü"]}
    assert parse_strictly(b'{"a": "\xc3\xbc"}') == {"a": "ü"}


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", '{"a": [-1e999]}'])
def test_numbers_that_json_does_not_have_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="which JSON does not have"):
        parse_strictly(text)


@pytest.mark.parametrize("text", [r'"\ud800"', r'{"\udfff": 1}', r'[["a\ud83d"]]'])
def test_half_of_a_character_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="half of a character"):
        parse_strictly(text)


def test_both_halves_of_a_character_are_one_character() -> None:
    assert parse_strictly(r'"\ud83d\ude00"') == "\U0001f600"


@pytest.mark.parametrize("text", [str(2**63), str(-(2**63)), "9" * 4000, "9" * 5000])
def test_a_whole_number_of_more_than_64_bits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"64 bits|limit"):
        parse_strictly(f'{{"a": {text}}}')


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 5000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_refused(depth: int, opening: str, closing: str) -> None:
    text = opening * depth + "1" + closing * depth
    with pytest.raises(ValueError, match=r"nested deeper than 20|at most"):
        parse_strictly(text)


def test_twenty_levels_are_read() -> None:
    assert parse_strictly("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_a_text_longer_than_the_limit_is_refused_with_the_limit() -> None:
    with pytest.raises(ValueError, match="262144"):
        parse_strictly(json.dumps("a" * MAX_BYTES))


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        parse_strictly(b'{"a": "\xff"}')


@pytest.mark.parametrize("value", [{1: 2}, {"a": object()}, {"a": {1, 2}}])
def test_values_that_json_lacks_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="type"):
        check_json(value)
