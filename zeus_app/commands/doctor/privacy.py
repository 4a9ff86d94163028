"""Take out of a text what must not be pasted in public: paths, the host's and the user's name."""

import getpass
import os
import re
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
_PUBLIC_ROOTS = ("/bin/", "/dev/", "/etc/", "/lib/", "/lib64/", "/proc/", "/sys/", "/usr/")
_QUOTED = re.compile(r"""(?P<quote>['"])(?P<path>/[^'"\n]*)(?P=quote)""")
_BARE = re.compile(r"(?<![\w/.~<>:-])/[^\s'\":;,()]+")
_LEAST_NAME = 3  # characters; a shorter name is part of too many words
_COMMON_NAMES = frozenset({"admin", "debian", "localhost", "root", "ubuntu", "user", "zeus"})


class Scrubber:
    """Replaces private words.

    Args:
        folders: further folders, name -> path, such as the state folder that the user gave.
    """

    def __init__(self, folders: Iterable[tuple[str, Path]] = ()) -> None:
        known = [
            *folders,
            ("<checkout>", CHECKOUT),
            ("<environment>", Path(sys.prefix)),
            ("~", Path.home()),
        ]
        paths = {str(path): name for name, each in known for path in (each, each.resolve())}
        paths.pop("/", None)
        # The longest first: the environment lies in the checkout, and that in the home folder.
        self._paths = sorted(paths.items(), key=lambda pair: -len(pair[0]))
        self._names = _private_names()

    def __call__(self, text: str) -> str:
        """The text without private words."""
        for path, name in self._paths:
            text = re.sub(rf"{re.escape(path)}(?![\w-])", name, text)
        text = _QUOTED.sub(lambda m: f"{m['quote']}{_shown(m['path'])}{m['quote']}", text)
        text = _BARE.sub(lambda match: _shown(match.group()), text)
        for name, shown in self._names:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", shown, text, flags=re.IGNORECASE)
        return text


def _shown(path: str) -> str:
    return path if path.startswith(_PUBLIC_ROOTS) else "<path>"


def _private_names() -> list[tuple[str, str]]:
    names: list[tuple[str, str]] = []
    with suppress(OSError):
        host = socket.gethostname()
        names += [(host, "<host>"), (host.partition(".")[0], "<host>")]
    with suppress(OSError, KeyError, ImportError):  # a user without an entry in /etc/passwd
        names.append((getpass.getuser(), "<user>"))
    names.append((os.environ.get("HOSTNAME", ""), "<host>"))
    return [
        (name, shown)
        for name, shown in dict.fromkeys(names)
        if len(name) >= _LEAST_NAME and name.lower() not in _COMMON_NAMES
    ]
