"""JSON objects that clients send, as text in a form or as the body of a request."""

from typing import Annotated, Any

from fastapi import Depends, Request

from zeus_app.errors import InputError
from zeus_app.storage.strict_json import MAX_BYTES, parse_strictly

_REMEDY = """send for example {"scope": "key"}"""

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_MOST_FIELDS = 100

JSON_BODY = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}
"""OpenAPI's description of a body that `Params` reads."""


def json_object(text: str | bytes, *, name: str = "form data") -> dict[str, Any]:
    """Read a JSON object strictly (`storage/strict_json.py`); empty text is an empty object.

    Args:
        text: what the client sent.
        name: what the text is, for the message.

    Raises:
        InputError: the text is not JSON, is not an object, or breaks a bound of strict JSON.
    """
    came = f"{name} {text[:80]!r}"
    try:
        parsed = parse_strictly(text or "{}")
    except ValueError as error:
        raise InputError(
            f"{came}, which is not JSON that can be used ({error})",
            expected=f"a JSON object of at most {MAX_BYTES} bytes",
            remedy=_REMEDY,
        ) from error
    if not isinstance(parsed, dict):
        raise InputError(came, expected="a JSON object", remedy=_REMEDY)
    return parsed


async def _read_params(http: Request) -> dict[str, Any]:
    """The parameters in a request's body, whatever its content type; empty without a body.

    Raises:
        InputError: as `json_object` does. A longer body is not read to its end.
    """
    body = b""
    async for chunk in http.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            break
    return {} if body.strip() == b"null" else json_object(body, name="a body")


async def _read_form_or_params(http: Request) -> dict[str, Any]:
    """The fields of a form, or else the parameters in the body.

    Raises:
        InputError: the body is no JSON object.
        HTTPException: the form cannot be read, or has files. The status is 400.
    """
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _FORMS:
        return await _read_params(http)
    async with http.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


Params = Annotated[dict[str, Any], Depends(_read_params)]

FormOrJson = Annotated[dict[str, Any], Depends(_read_form_or_params)]
"""The parameters in a body of JSON, or in a form. The values of a form are texts."""
