"""Settings in YAML files that ship with Zeus by name, or lie anywhere by path."""

from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from zeus_app.errors import InputError
from zeus_app.settings.registry import lookup

T = TypeVar("T", bound=BaseModel)


def shipped(package: str) -> dict[str, Path]:
    """Name -> YAML of the files that ship in a package."""
    folder = Path(str(files(package)))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(kind: str, name_or_path: str, package: str, schema: type[T]) -> T:
    """Read a shipped file by name, or a user's own by its path.

    Args:
        kind: "target" or "profile", for messages.
        name_or_path: a name, or a path that ends in .yaml or .yml.
        package: where the shipped ones lie.
        schema: what the file describes. A file that `extends` another holds only what differs.

    Raises:
        UnknownNameError: none of this name.
        InputError: the file does not describe one; the message names the field.
    """
    path = _path(kind, name_or_path, package)
    try:
        return schema.model_validate(_read(kind, path, package))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise InputError(
            f"{kind} file {path}: {error}",
            expected=f"a YAML with {', '.join(schema.model_fields)}",
            remedy=f"compare it with one that ships: {', '.join(shipped(package))}",
        ) from error


def _path(kind: str, name_or_path: str, package: str) -> Path:
    own = Path(name_or_path)
    is_path = own.suffix in {".yaml", ".yml"}
    return own if is_path else lookup(kind, name_or_path, shipped(package))


def _read(kind: str, path: Path, package: str) -> Any:
    """What a file says, upon what the file that it extends says."""
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(said, dict) or "extends" not in said:
        return said
    below = _read(kind, _path(kind, str(said.pop("extends")), package), package)
    return _upon(below, said)


def _upon(below: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Mappings are merged, field by field; anything else is replaced."""
    merged = dict(below)
    for key, value in said.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _upon(below[key], value) if both else value
    return merged
