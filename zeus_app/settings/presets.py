"""Load targets and profiles from YAML files: shipped ones by name, any file by its path."""

from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from zeus_app.errors import InputError
from zeus_app.settings.registry import lookup

T = TypeVar("T", bound=BaseModel)


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
    except (OSError, yaml.YAMLError, ValidationError) as error:
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
    """The content of a file, merged with that of the file that it extends."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "extends" not in content:
        return content
    base = _read(kind, _path(kind, str(content.pop("extends")), package), package)
    return _merge(base, content)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`. Mappings are merged field by field; other values are replaced."""
    merged = dict(base)
    for key, value in changes.items():
        are_mappings = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if are_mappings else value
    return merged
