"""JSON objects that clients send as text in a form."""

import json
from typing import Any

from zeus_app.errors import InputError

_REMEDY = """send for example {"scope": "key"}"""


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object; empty text is an empty object.

    Raises:
        InputError: the text is not JSON, or the JSON is not an object.
    """
    came = f"form data {text[:80]!r}"
    try:
        parsed = json.loads(text or "{}")
    except ValueError as error:
        raise InputError(
            f"{came}, which is not JSON ({error})", expected="a JSON object", remedy=_REMEDY
        ) from error
    if not isinstance(parsed, dict):
        raise InputError(came, expected="a JSON object", remedy=_REMEDY)
    return parsed
