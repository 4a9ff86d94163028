"""The weights that are here: finding them, and telling whether they are the right ones."""

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
    """How a weight is here, in the words of `zeus weights list`."""

    MISSING = "missing"
    DAMAGED = "damaged"
    UNHASHED = "there, not hashed yet"
    RECORDED = "there, hash recorded"
    WHOLE = "whole, hash pinned"


def weights_folder() -> Path:
    """The folder of all weights: $ZEUS_WEIGHTS, else share/zeus/weights of this environment."""
    told = os.environ.get("ZEUS_WEIGHTS")
    return Path(told).expanduser() if told else Path(sys.prefix) / "share" / "zeus" / "weights"


def locate(name_or_path: str) -> Path:
    """Path of a weight's parameters, its files all present and the right ones.

    A file of up to 1 GiB is hashed at every call, so that one that went bad on the disk is refused
    rather than used. A bigger one is compared, by size and time of change, with the record that
    was written when it was last hashed, and hashed again only when it differs: `verify` always
    hashes in full. A hash that no public source states is recorded the first time.

    Args:
        name_or_path: a key of `WEIGHTS`; or the path of a file or folder of one's own, which is
            used as it is: no hash is expected, none is recorded. A path has a slash in it, begins
            with ~, or ends like a file of parameters.

    Returns:
        For a name, the file that holds the parameters (of a sharded model its first shard), what
        belongs to it lying beside it. For a path, that path, of a file or of a folder.

    Raises:
        UnknownNameError: no weight has this name.
        InputError: a file is missing or not the right one; the message says which and what to do.
    """
    if is_path(name_or_path):
        return _own(name_or_path)
    return _checked(lookup("weight", name_or_path, WEIGHTS), thorough=False)


def verify(name: str) -> Path:
    """As `locate` of a name, but every file is hashed in full, however big. Raises the same."""
    return _checked(lookup("weight", name, WEIGHTS), thorough=True)


def check_present(names: Sequence[str], *, how: str) -> None:
    """Miss everything at once: a file may take hours to come. Nothing is hashed.

    Args:
        names: of weights.
        how: the command that gets them all.

    Raises:
        UnknownNameError: no weight has such a name.
        InputError: files are not there; all are listed, with origin, size, licence and command.
    """
    weights = [lookup("weight", name, WEIGHTS) for name in names]
    lacking = [lack for weight in weights if (lack := _lack_of(weight))]
    if lacking:
        raise InputError(
            f"weights are missing from {weights_folder()}",
            expected="\n  ".join(["", *lacking]),
            remedy=f"\nrun `{how}` for all of them, or what is said of each",
        )


def is_here(name: str) -> bool:
    """Whether any of a weight's files is here. Raises UnknownNameError."""
    weight = lookup("weight", name, WEIGHTS)
    return any((folder_of(weight) / file.name).is_file() for file in weight.files)


def state_of(name: str) -> State:
    """How a weight is here, told quickly: nothing above 1 GiB is hashed, nothing is recorded.

    Raises:
        UnknownNameError: no weight has this name.
        InputError: the record of hashes cannot be read.
    """
    weight = lookup("weight", name, WEIGHTS)
    states = {_state_of_file(weight, file) for file in weight.files}
    return next(state for state in State if state in states)


def folder_of(weight: Weight) -> Path:
    """Where a weight's files lie."""
    return weights_folder() / weight.name


def is_right(weight: Weight, file: WeightFile, *, thorough: bool = False) -> bool:
    """Whether a file is present and the right one; its hash is recorded when none was known."""
    path = folder_of(weight) / file.name
    if not path.is_file() or (file.size and path.stat().st_size != file.size):
        return False
    records = Records(path.parent)
    expected = records.expected(file)
    found = records.hash_of(path, thorough=thorough)
    if expected and found != expected:
        return False
    records.record(path, file, found)
    return True


def is_path(text: str) -> bool:
    """Whether weights are called by a path of one's own, as `locate` tells it from a name."""
    return "/" in text or text.startswith("~") or Path(text).suffix in OWN_FILE_ENDINGS


def how_to_get(weight: Weight) -> str:
    """What a user has to do to have a weight, as the remedy of an error."""
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
            f"weights {path} are not there",
            expected="the path of a file or folder, or the name of a weight",
            remedy="correct the path, or choose a name of `zeus weights list`",
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


def _lack_of(weight: Weight) -> str:
    """Which files of a weight are not there, and how to have them; empty when all are."""
    names: dict[Source, list[str]] = {}
    for file in weight.files:
        if not (folder_of(weight) / file.name).is_file():
            names.setdefault(weight.source_of(file), []).append(file.name)
    if not names:
        return ""
    origin = "; ".join(f"{', '.join(some)} from {source}" for source, some in names.items())
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
    found = records.recorded_hash(path) if big or not expected else sha256_of(path)
    if not expected or not found:
        return State.UNHASHED
    if found != expected:
        return State.DAMAGED
    return State.WHOLE if file.sha256 else State.RECORDED
