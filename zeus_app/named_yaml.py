"""Settings in YAML files that ship with Zeus by name, or lie anywhere by path."""

from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from zeus_app.errors import InputError
from zeus_app.registry import lookup

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
        schema: what the file describes.

    Raises:
        UnknownNameError: none of this name.
        InputError: the file does not describe one; the message names the field.
    """
    own = Path(name_or_path)
    is_path = own.suffix in {".yaml", ".yml"}
    path = own if is_path else lookup(kind, name_or_path, shipped(package))
    try:
        return schema.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise InputError(
            f"{kind} file {path}: {error}",
            expected=f"a YAML with {', '.join(schema.model_fields)}",
            remedy=f"compare it with one that ships: {', '.join(shipped(package))}",
        ) from error
