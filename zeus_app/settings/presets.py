"""Load targets and profiles from YAML files: shipped ones by name, any file by its path."""

from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from zeus_app.errors import InputError
from zeus_app.settings.bounded_yaml import read_bounded
from zeus_app.settings.registry import lookup

T = TypeVar("T", bound=BaseModel)
MAX_CHAIN = 8
"""Most files that extend one another."""


def shipped(package: str) -> dict[str, Path]:
    """Name -> path of the YAML files that ship in a package."""
    folder = Path(str(files(package)))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(kind: str, name_or_path: str, package: str, schema: type[T]) -> T:
    """Read a shipped YAML file by name, or any YAML file by its path.

    A file with the key `extends` names another file and holds only the fields that differ from it.

    Args:
        kind: "target" or "profile", for messages.
        name_or_path: a name, or a path that ends in .yaml or .yml.
        package: package of the shipped files, for example "zeus_app.targets".
        schema: model of the file's content.

    Raises:
        UnknownNameError: no shipped file has this name.
        InputError: the file is not valid; the message names the field.
    """
    path = _path(kind, name_or_path, package)
    try:
        return schema.model_validate(_read(kind, path, package))
    except (OSError, yaml.YAMLError, ValueError) as error:  # ValidationError is a ValueError
        raise InputError(
            f"{kind} file {path}: {error}",
            expected=f"a YAML file with the fields {', '.join(schema.model_fields)}",
            remedy=f"compare it with a shipped {kind}: {', '.join(shipped(package))}",
        ) from error


def _path(kind: str, name_or_path: str, package: str) -> Path:
    path = Path(name_or_path)
    is_path = path.suffix in {".yaml", ".yml"}
    return path if is_path else lookup(kind, name_or_path, shipped(package))


def _read(kind: str, path: Path, package: str) -> Any:
    """The content of a file, merged with those of the files that it extends.

    Raises:
        ValueError: a file is no mapping, extends itself, or the chain is too long.
    """
    chain: list[Path] = []
    contents: list[dict[str, Any]] = []
    extends: object = str(path)
    while extends:
        file = path if not chain else _path(kind, str(extends), package)
        if file.resolve() in chain:
            over = ", ".join(each.name for each in chain[1:])
            raise ValueError(f"{file.name} extends itself" + (f", over {over}" if over else ""))
        if len(chain) == MAX_CHAIN:
            raise ValueError(f"a chain of files that extend each other; at most {MAX_CHAIN} files")
        chain.append(file.resolve())
        content = read_bounded(file)
        if not isinstance(content, dict):
            raise ValueError(f"{file.name} is no mapping of fields to values")
        extends = content.pop("extends", None)
        contents.append(content)
    merged: dict[str, Any] = {}
    for content in reversed(contents):
        merged = _merge(merged, content)
    return merged


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`. Mappings are merged field by field; other values are replaced."""
    merged = dict(base)
    for key, value in changes.items():
        are_mappings = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if are_mappings else value
    return merged
