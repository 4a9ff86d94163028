"""What a request says about the instructions: their scope, and the user's own texts.

A program sends texts under `instructions`. A user of 3D Slicer or OHIF types them into the option
`text`. Routes put both together, by `sent_texts`, before a task reads a request.
"""

from collections.abc import Mapping
from typing import Any

from zeus_app.errors import InputError
from zeus_app.instructions.own_texts import INSTRUCTIONS, read_texts
from zeus_app.instructions.typed_text import TEXT, read_typed_text
from zeus_app.targets import Target
from zeus_app.types import Guidance, Instruction

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


def sent_texts(request: Mapping[str, Any], target: Target) -> object:
    """The user's own texts of a request, as `read_texts` reads them; empty if there are none.

    A text of `instructions` replaces a typed one for the same key. Where a request is about some
    labels, such as a click, the typed texts of other labels do not count: Slicer sends the option
    with every click, on whichever label.

    Raises:
        InputError: a typed text cannot be read.
    """
    given = request.get(INSTRUCTIONS) or {}
    typed = str(request.get(TEXT) or "")
    if not typed.strip() or not isinstance(given, Mapping):
        return given
    named, about = named_label(request, target), _labels_about(request, target)
    only = about[0] if len(about) == 1 else None
    texts = read_typed_text(typed, target, label=named or only)
    if about:
        texts = {key: text for key, text in texts.items() if key.rsplit("/", 1)[-1] in about}
    return {**texts, **given}


def own_instructions(guidance: Guidance, target: Target) -> tuple[Instruction, ...]:
    """The user's own texts as instructions, in the target's order."""
    return tuple(
        Instruction(sequence, label, None, guidance.texts[sequence, label], "user")
        for sequence in target.sequence_names
        for label in target.label_names
        if (sequence, label) in guidance.texts
    )


def named_label(request: Mapping[str, Any], target: Target) -> str | None:
    """The label that a click request names; scribbles name theirs in a parameter of their own."""
    for parameter in ("label", "selected_label_name"):
        name = request.get(parameter)
        if isinstance(name, str) and name in target.label_names:
            return name
    return None


def _labels_about(request: Mapping[str, Any], target: Target) -> list[str]:
    """The labels that a click request is about; empty for a request without clicks."""
    named = named_label(request, target)
    labels = [name for name in target.label_names if request.get(name) or name == named]
    if not labels and any(request.get(name) for name in ("foreground", "background", "roi")):
        return [target.label_names[0]]  # clicks without a name belong to the first label
    return labels


def refuse_settings(request: Mapping[str, Any]) -> None:
    """Refuse parameters that are settings of the server. Raises InputError with the remedy."""
    for key in _SET_AT_START:
        if key in request:
            raise InputError(
                f"request parameter {key!r}",
                expected="result_extension, result_dtype, scope or instructions",
                remedy=f"start the server with --conf {key} VALUE",
            )
