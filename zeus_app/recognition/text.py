"""Texts as the recogniser compares them: lower case, without accents."""

import unicodedata

# Letters that Unicode does not take apart into a base and an accent.
_BASES = str.maketrans({
    "\N{LATIN SMALL LETTER DOTLESS I}": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h",
})  # fmt: skip


def is_caseless(text: str) -> bool:
    """Whether a script without capitals writes a text: Chinese words have two letters, not six."""
    return text.upper() == text.lower()


def plain(text: str) -> str:
    """Lower case without accents: `Spät` is `spat`, `Før` is `for`.

    The length may differ. Korean syllables stay whole.
    """
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bases = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", bases).translate(_BASES)
