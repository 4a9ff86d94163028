"""What a request says about the instructions: their scope, and the user's own texts."""

from collections.abc import Mapping
from typing import Any

from zeus_app.errors import InputError
from zeus_app.instructions.own_texts import INSTRUCTIONS, read_texts
from zeus_app.targets import Target
from zeus_app.types import Guidance

_SET_AT_START = ("union", "threshold", "fusion", "profile", "target", "instruction")
_SCOPES = ("none", "target", "series", "key", "all")


def read_guidance(request: Mapping[str, Any], target: Target) -> Guidance:
    """Read the scope and the user's own texts of a request.

    For example {"scope": "key", "instructions": {"FLAIR/lesion": "bright and round"}}.

    Args:
        request: "scope" is none, target, series, key or all; "instructions" as in `read_texts`.
        target: the sequences and labels that texts may be for.

    Raises:
        InputError: the scope, a sequence or a label is unknown, or a text is empty.
    """
    scope = request.get("scope") or ""
    if scope and scope not in _SCOPES:
        raise InputError(
            f"scope {scope!r}",
            expected=", ".join(_SCOPES),
            remedy='send one of these, for example {"scope": "key"}',
        )
    return Guidance(read_texts(request.get(INSTRUCTIONS) or {}, target), scope)


def refuse_settings(request: Mapping[str, Any]) -> None:
    """Refuse parameters that are settings of the server. Raises InputError with the remedy."""
    for key in _SET_AT_START:
        if key in request:
            raise InputError(
                f"request parameter {key!r}",
                expected="result_extension, result_dtype, scope or instructions",
                remedy=f"start the server with --conf {key} VALUE",
            )
