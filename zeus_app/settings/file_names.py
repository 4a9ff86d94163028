"""Names of files and folders that are no UTF-8, as old archives and Windows shares have them.

Python keeps each byte that is no UTF-8 as a lone surrogate. ITK ends the process at such a name,
and JSON cannot carry it.
"""

import re
from pathlib import Path

from zeus_app.errors import InputError

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line breaks and surrogates."""


def is_utf8(name: object) -> bool:
    """Whether a path or name is UTF-8, so that every library and client can take it."""
    return not _SURROGATE.search(str(name))


def check_utf8(path: Path) -> None:
    """Refuse a path that is no UTF-8.

    Raises:
        InputError: shows the path with escapes.
    """
    if not is_utf8(path):
        raise InputError(
            f"{readable(path)}, a name that is no UTF-8",
            expected="names of files and folders in UTF-8",
            remedy="rename it, for example to patient_012; `convmv -f latin1 -t utf8 -r --notest"
            " <folder>` renames all",
        )


def readable(text: object) -> str:
    r"""A path or text on one line, for example `M\xfcller` for a name in Latin-1."""
    return _NOT_SHOWN.sub(_escaped, str(text))


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    # Python keeps the byte 0xfc as U+DCFC (PEP 383).
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode()
