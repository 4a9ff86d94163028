"""Texts as the recogniser compares them: lower case, without accents."""

import unicodedata

# Letters that Unicode does not take apart into a base and an accent.
_BASES = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h"})


def plain(text: str) -> str:
    """Lower case without accents: `Spät` is `spat`, `kontrastlı` is `kontrastli`.

    The length may differ. Korean syllables stay whole.
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bases = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", bases).translate(_BASES)
