"""The weights folder: find weights on disk and check their hashes."""

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from zeus_app.errors import InputError
from zeus_app.settings.registry import lookup
from zeus_app.storage.artifacts import sha256_of
from zeus_app.weights.entries import WEIGHTS, Manual, Source, Weight, WeightFile
from zeus_app.weights.records import ALWAYS_HASHED_BYTES, Records

OWN_FILE_ENDINGS = {".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".gguf"}


class State(StrEnum):
    """State of a weight on disk, in the words of `zeus weights list`."""

    MISSING = "missing"
    DAMAGED = "damaged"
    UNHASHED = "there, not hashed yet"
    RECORDED = "there, hash recorded"
    WHOLE = "whole, hash pinned"


def weights_folder() -> Path:
    """The folder of all weights: $ZEUS_WEIGHTS, or share/zeus/weights of this environment."""
    setting = os.environ.get("ZEUS_WEIGHTS")
    return (
        Path(setting).expanduser() if setting else Path(sys.prefix) / "share" / "zeus" / "weights"
    )


def locate(name_or_path: str) -> Path:
    """Path of a weight's parameters, after a check of all its files.

    A file of up to 1 GiB is hashed at every call, so a file that was damaged on disk is refused.
    For a bigger file, size and modification time are compared with the record of its last hash. It
    is hashed again only if they differ. `verify` always hashes every file. A hash that no
    public source states is recorded at the first call.

    Args:
        name_or_path: a key of `WEIGHTS`, or the path of the user's own file or folder. A path
            contains a slash, begins with ~, or ends like a file of parameters. It is used
            unchecked: there is no hash to compare, and none is recorded.

    Returns:
        For a name, the file with the parameters (the first shard of a sharded model), with its
        other files beside it. For a path, that path.

    Raises:
        UnknownNameError: no weight has this name.
        InputError: a file is missing or has the wrong hash; the message names it and the remedy.
    """
    if is_path(name_or_path):
        return _own(name_or_path)
    return _checked(lookup("weight", name_or_path, WEIGHTS), thorough=False)


def verify(name: str) -> Path:
    """Like `locate` for a name, but hashes every file of any size. Raises the same errors."""
    return _checked(lookup("weight", name, WEIGHTS), thorough=True)


def check_present(names: Sequence[str], *, command: str) -> None:
    """Refuse missing files, all in one message, because a download may take hours.

    Nothing is hashed.

    Args:
        names: of weights.
        command: the command that fetches all of them.

    Raises:
        UnknownNameError: no weight has such a name.
        InputError: files are missing; each is listed with source, size, licence and command.
    """
    weights = [lookup("weight", name, WEIGHTS) for name in names]
    missing = [line for weight in weights if (line := _missing_files_of(weight))]
    if missing:
        raise InputError(
            f"weights are missing from {weights_folder()}",
            expected="\n  ".join(["", *missing]),
            remedy=f"\nrun `{command}` for all of them, or the command of each line",
        )


def is_here(name: str) -> bool:
    """Whether any file of a weight is on disk. Raises UnknownNameError."""
    weight = lookup("weight", name, WEIGHTS)
    return any((folder_of(weight) / file.name).is_file() for file in weight.files)


def state_of(name: str) -> State:
    """The state of a weight on disk. No file above 1 GiB is hashed, and nothing is recorded.

    Raises:
        UnknownNameError: no weight has this name.
        InputError: the record of hashes cannot be read.
    """
    weight = lookup("weight", name, WEIGHTS)
    states = {_state_of_file(weight, file) for file in weight.files}
    return next(state for state in State if state in states)


def folder_of(weight: Weight) -> Path:
    """The folder of a weight's files."""
    return weights_folder() / weight.name


def is_right(weight: Weight, file: WeightFile, *, thorough: bool = False) -> bool:
    """Whether a file is present with the right hash; a hash that was unknown is recorded."""
    path = folder_of(weight) / file.name
    if not path.is_file() or (file.size and path.stat().st_size != file.size):
        return False
    records = Records(path.parent)
    expected = records.expected(file)
    actual = records.hash_of(path, thorough=thorough)
    if expected and actual != expected:
        return False
    records.record(path, file, actual)
    return True


def is_path(text: str) -> bool:
    """Whether a text is a path and not the name of a weight, by the rule of `locate`."""
    return "/" in text or text.startswith("~") or Path(text).suffix in OWN_FILE_ENDINGS


def how_to_get(weight: Weight) -> str:
    """How a user gets a weight: the remedy of an error."""
    folder = folder_of(weight)
    if isinstance(weight.source, Manual):
        return f"{weight.source.manual}, and put the files into {folder}"
    command = f"zeus weights get {weight.profile or weight.name}"
    if weight.licence.must_be_accepted:
        return (
            f"read the licence ({weight.licence.summary}) and run `{command} --accept-licence`, "
            f"or put the file into {folder} by hand"
        )
    return f"run `{command}`, or put the file into {folder} by hand"


def _own(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.exists():
        raise InputError(
            f"weights {path} do not exist",
            expected="the path of a file or folder, or the name of a weight",
            remedy="send an existing path, or a name of `zeus weights list`, for example sam-vit-b",
        )
    return path


def _checked(weight: Weight, *, thorough: bool) -> Path:
    for file in weight.files:
        if not is_right(weight, file, thorough=thorough):
            _refuse(weight, file)
    return folder_of(weight) / weight.file


def _refuse(weight: Weight, file: WeightFile) -> NoReturn:
    path = folder_of(weight) / file.name
    origin = f"{file.path} from {weight.describe(file)}"
    if not path.is_file():
        raise InputError(
            f"weight file {path} is missing", expected=origin, remedy=how_to_get(weight)
        )
    if file.size and path.stat().st_size != file.size:
        raise InputError(
            f"weight file {path} has {path.stat().st_size:,} bytes",
            expected=f"{file.size:,} bytes, {origin}",
            remedy=how_to_get(weight),
        )
    records = Records(path.parent)
    remedy = how_to_get(weight)
    if not file.sha256:
        remedy += f"; if you changed the file yourself, delete {records.path}"
    raise InputError(
        f"weight file {path} has SHA-256 {sha256_of(path)}",
        expected=f"SHA-256 {records.expected(file)}"
        f"{'' if file.sha256 else ', recorded when it was first seen'}, {origin}",
        remedy=remedy,
    )


def _missing_files_of(weight: Weight) -> str:
    """One line on the missing files of a weight and how to get them; empty if none is missing."""
    names: dict[Source, list[str]] = {}
    for file in weight.files:
        if not (folder_of(weight) / file.name).is_file():
            names.setdefault(weight.source_of(file), []).append(file.name)
    if not names:
        return ""
    origin = "; ".join(f"{', '.join(group)} from {source}" for source, group in names.items())
    about = f"{weight.size_text} in all, {weight.licence}"
    return f"{weight.name}: {origin}; {about}; {how_to_get(weight)}"


def _state_of_file(weight: Weight, file: WeightFile) -> State:
    path = folder_of(weight) / file.name
    if not path.is_file():
        return State.MISSING
    if file.size and path.stat().st_size != file.size:
        return State.DAMAGED
    records = Records(path.parent)
    expected = records.expected(file)
    big = path.stat().st_size > ALWAYS_HASHED_BYTES
    actual = records.recorded_hash(path) if big or not expected else sha256_of(path)
    if not expected or not actual:
        return State.UNHASHED
    if actual != expected:
        return State.DAMAGED
    return State.WHOLE if file.sha256 else State.RECORDED
