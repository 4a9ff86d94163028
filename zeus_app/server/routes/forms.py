"""What clients send as text in a form."""

import json
from typing import Any

from zeus_app.errors import InputError


def json_object(text: str) -> dict[str, Any]:
    """Read a form's JSON object; empty text is an empty one.

    Raises:
        InputError: no JSON, or no object.
    """
    came = f"form data {text[:80]!r}"
    try:
        read = json.loads(text or "{}")
    except ValueError as error:
        raise InputError(came, expected="a JSON object", remedy=f"correct it: {error}") from error
    if not isinstance(read, dict):
        raise InputError(came, expected="a JSON object", remedy="send one")
    return read
