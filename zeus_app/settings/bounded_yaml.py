"""Read YAML files whose size and nesting are bounded, so that none holds a start up.

An alias (`*name`) may stand for a node that holds aliases again, so a few hundred bytes unfold to
billions of nodes ("billion laughs"). Files of Zeus need no alias, and one with an alias is refused.
"""

from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 32
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads five times as fast
_BAD_VALUE = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""Errors of PyYAML for values such as `!!float ''` or the date 2026-99-99."""


class BoundsError(ValueError):
    """The file is too large, too deep, or has aliases."""


class Written(str):
    """A value as it is written in a file. YAML takes a plain `010` for the number 8.

    Attributes:
        meaning: what YAML or JSON takes the text for: 8, 1000.0, True, None, a date.
    """

    meaning: object

    def __new__(cls, text: str, meaning: object) -> "Written":
        """A text and its meaning."""
        written = super().__new__(cls, text)
        written.meaning = meaning
        return written


class _AsWritten(_LOADER):  # type: ignore[misc,valid-type]
    """Reads numbers, dates, truth values and nulls as `Written`."""


def _as_written(loader: Any, node: yaml.Node) -> Written:
    construct = _LOADER.yaml_constructors[node.tag]
    try:
        return Written(node.value, construct(loader, node))
    except _BAD_VALUE:  # such as the date 2026-99-99
        return Written(node.value, node.value)


for _kind in ("null", "bool", "int", "float", "timestamp", "binary"):
    _AsWritten.add_constructor(f"tag:yaml.org,2002:{_kind}", _as_written)


def read_bounded(
    path: Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_nodes: int = MAX_NODES,
    max_depth: int = MAX_DEPTH,
    as_written: bool = False,
) -> Any:
    """The content of a YAML or JSON file. No tag of the file makes a Python object.

    Args:
        path: the file.
        max_bytes: most bytes of the file.
        max_nodes: most values, keys included.
        max_depth: most lists and mappings inside each other.
        as_written: return numbers, dates, truth values and nulls as `Written`.

    Raises:
        BoundsError: one of these is exceeded, or the file has an alias.
        OSError: the file cannot be read.
        UnicodeDecodeError: the file is no UTF-8.
        yaml.YAMLError: the file is no YAML.
    """
    if not path.is_file():  # a pipe or a device may never end
        raise FileNotFoundError("no such file")
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise BoundsError(f"more than {max_bytes} bytes")
    text = content.decode("utf-8")
    _check_nodes(text, max_nodes, max_depth)
    try:
        return yaml.load(text, Loader=_AsWritten if as_written else _LOADER)
    except RecursionError as error:
        raise BoundsError("nested too deep") from error
    except _BAD_VALUE as error:
        raise yaml.YAMLError(f"a value that is damaged ({str(error)[:80]})") from error


def _check_nodes(text: str, max_nodes: int, max_depth: int) -> None:
    """Count the nodes of a text from its events, which are made one by one."""
    nodes = depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise BoundsError(f"an alias, *{event.anchor}; write its value out")
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if nodes > max_nodes:
            raise BoundsError(f"more than {max_nodes} values")
        if depth > max_depth:
            raise BoundsError(f"lists and mappings more than {max_depth} deep")
