"""A text that a user types into an option of 3D Slicer or OHIF: "label: words; label: words"."""

from zeus_app.errors import InputError
from zeus_app.settings.registry import LEAST_LIKENESS, closest
from zeus_app.targets import Target

TEXT = "text"
"""Name of the option and of the request's parameter."""
_EXAMPLES = ("bright and round", "dark with a bright rim")


def read_typed_text(text: str, target: Target, *, label: str | None = None) -> dict[str, str]:
    """Read a typed text.

    "lesion: bright; cyst: dark" is for two labels in all sequences. "lesion @ FLAIR: bright" is for
    one sequence. Words without a label are for `label`, or for the target's only label. A part
    without a colon goes on with the part before. Capital letters do not matter in names.

    Args:
        text: what the user typed.
        target: the labels and sequences that the text may name.
        label: name of the label that words without a label are for; None if it is not known.

    Returns:
        Key -> text, with keys as `own_texts.read_texts` reads them: "lesion" or "FLAIR/lesion".

    Raises:
        InputError: a name is unknown, a label has no words, or words have no label. The message
            has an example for this target.
    """
    only_label = target.label_names[0] if len(target.label_names) == 1 else None
    key, texts = label or only_label, dict[str, list[str]]()
    for part in filter(None, map(str.strip, text.split(";"))):
        name, colon, words = part.partition(":")
        key = _key(name, target) if colon else key
        if key is None:
            raise _refused(target, f"text {part[:80]!r} without the name of a label")
        words = words.strip() if colon else part
        if not words:
            raise _refused(target, f"text {part[:80]!r} without words")
        texts.setdefault(key, []).append(words)
    return {key: "; ".join(parts) for key, parts in texts.items()}


def text_example(target: Target) -> str:
    """A typed text for the target's first labels."""
    pairs = zip(target.label_names, _EXAMPLES, strict=False)
    return "; ".join(f"{name}: {words}" for name, words in pairs)


def _key(name: str, target: Target) -> str:
    """The key of "label" or "label @ sequence". Raises InputError."""
    label, at, sequence = name.partition("@")
    found = _name_of(label, target.label_names, target)
    return f"{_name_of(sequence, target.sequence_names, target)}/{found}" if at else found


def _name_of(written: str, names: tuple[str, ...], target: Target) -> str:
    written = written.strip()
    for name in names:
        if name.casefold() == written.casefold():
            return name
    meant = closest(written[:80], names, least=LEAST_LIKENESS)
    hint = f"did you mean {meant!r}? " if meant else ""
    raise _refused(target, f"text for {written[:80]!r}", hint=hint)


def _refused(target: Target, came: str, *, hint: str = "") -> InputError:
    return InputError(
        came,
        expected=f"label: words; label: words. Labels are {', '.join(target.label_names)}",
        remedy=f"{hint}type for example {text_example(target)}",
    )
