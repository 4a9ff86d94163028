"""Strict JSON: what a client sends is checked once, so that it can be stored and sent again.

Python's own reader accepts NaN, infinite numbers, halves of characters, and numbers and nesting
without bound. Each of them fails later, where the value is written, hashed or sent.
"""

import json
import math
import re
from typing import Any

MAX_BYTES = 256 * 1024
"""Longest JSON text of a client. Ten thousand clicked points fit in."""
MAX_DEPTH = 20
"""Deepest nesting of lists and objects."""
MAX_INTEGER = 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_strictly(text: str | bytes) -> Any:
    """Read a JSON text of a client.

    Raises:
        ValueError: the text is too long, is no JSON, or holds a value that `check_json` refuses.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"{len(text)} bytes; at most {MAX_BYTES} are allowed")
    try:
        parsed = json.loads(text)
    except RecursionError as error:
        raise _too_deep() from error
    check_json(parsed)
    return parsed


def check_json(value: object, depth: int = 0) -> None:
    """Check that a value can be written as JSON and read by every client.

    Args:
        value: the value.
        depth: how many lists and objects it lies in.

    Raises:
        ValueError: NaN, an infinite number, an integer beyond 64 bits, half of a character (a lone
            surrogate), nesting deeper than MAX_DEPTH, or a type that JSON lacks.
    """
    if depth > MAX_DEPTH:
        raise _too_deep()
    match value:
        case None | bool():
            return
        case str():
            _check_text(value)
        case int():
            if abs(value) > MAX_INTEGER:
                raise ValueError("a whole number of more than 64 bits")
        case float():
            if not math.isfinite(value):
                raise ValueError(f"the number {value}, which JSON does not have")
        case list() | tuple():
            for item in value:
                check_json(item, depth + 1)
        case dict():
            for key, item in value.items():
                _check_text(key)
                check_json(item, depth + 1)
        case _:
            raise ValueError(f"a value of type {type(value).__name__}, which JSON does not have")


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise ValueError(f"a key of type {type(text).__name__}")
    if _SURROGATE.search(text):
        raise ValueError("half of a character (a lone surrogate)")


def _too_deep() -> ValueError:
    return ValueError(f"nested deeper than {MAX_DEPTH} levels")
