"""Merge the label histories of studies that have become one.

All versions become one history, numbered anew in the order of their times. Versions of a label that
was removed come first: a removal ends the label of its own study alone.

A plan is written before the first rename and deleted after the last. So a merge that was killed is
completed at the next start: no version is lost, and none is there twice.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeus_app.labels.versions import LabelHistory, LabelVersion
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.state import folder_name

logger = logging.getLogger(__name__)
Renew = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class _Place:
    """A version of one of the studies, and its place among all versions."""

    study: str
    version: LabelVersion
    order: tuple[bool, float, int, int]


def merge_histories(
    history: LabelHistory, tag: str, former: Iterable[str], now: str, *, renew: Renew
) -> int:
    """Move all label versions of former studies to the study that they have become.

    Args:
        history: the labels of a target.
        tag: the labels' tag.
        former: the ids of the former studies.
        now: the study's id. It may have versions already.
        renew: gives the info of a version under the new id, from the former id and the info.

    Returns:
        How many versions were moved.
    """
    studies = [study for study in former if history.folder_of(study, tag).is_dir()]
    if not studies:
        return 0
    target = history.folder_of(now, tag)
    target.mkdir(parents=True, exist_ok=True)
    places = _in_order(history, tag, [*studies, now])
    first_moved = next((i for i, place in enumerate(places) if place.study != now), len(places))
    moved = places[first_moved:]
    numbers = _claim(target, moved, renew)
    plan = {
        "to": target.name,
        "from": [folder_name(study) for study in studies],
        "moves": [
            (folder_name(place.study), place.version.path.name, number)
            for place, number in zip(moved, numbers, strict=True)
        ],
    }
    path = target.with_name(f".merge-{target.name}.json")
    write_text_atomically(path, json.dumps(plan))
    _carry_out(path)
    return len(moved)


def complete_merges(labels: Path) -> int:
    """Complete the merges of one target that were killed; returns how many there were.

    Args:
        labels: the folder of the target's labels.
    """
    plans = sorted(labels.glob("*/.merge-*.json"))
    for path in plans:
        _carry_out(path)
    return len(plans)


def _in_order(history: LabelHistory, tag: str, studies: Sequence[str]) -> list[_Place]:
    """All versions of some studies, in the order of the merged history."""
    places = []
    for index, study in enumerate(studies):
        versions = history.versions(study, tag)
        is_in_use = bool(versions) and not versions[-1].removed
        latest = 0.0  # a clock may have been set back; a study's own order stays
        for version in versions:
            latest = max(latest, _time_of(version))
            places.append(_Place(study, version, (is_in_use, latest, index, version.number)))
    return sorted(places, key=lambda place: place.order)


def _time_of(version: LabelVersion) -> float:
    """Seconds since 1970."""
    stored = version.info.get("ts")
    return float(stored) if isinstance(stored, int | float) else version.path.stat().st_mtime


def _claim(target: Path, places: Sequence[_Place], renew: Renew) -> list[int]:
    """Take a free number for each version by writing its info, which alone counts for nothing."""
    names = (path.name[1:].partition(".")[0] for path in target.glob("v*"))
    number = max((int(name) for name in names if name.isdecimal()), default=0)
    numbers: dict[tuple[str, int], int] = {}
    for place in places:
        info = dict(renew(place.study, place.version.info))
        original = numbers.get((place.study, info.get("restored_from", 0)))
        if original is not None:
            info["restored_from"] = original
        number = _write_info(target, number + 1, info)
        numbers[place.study, place.version.number] = number
    return list(numbers.values())


def _write_info(target: Path, number: int, info: Mapping[str, Any]) -> int:
    """Write the info under the first free number, and return the number."""
    while True:
        try:
            with (target / f"v{number:04d}.json").open("x", encoding="utf-8") as file:
                file.write(json.dumps(info, indent=1, default=str))
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            number += 1
            continue
        return number


def _carry_out(path: Path) -> None:
    """Carry out a plan, of which a part may be done. Then delete it."""
    plan = json.loads(path.read_bytes())
    tag, target = path.parent, path.parent / plan["to"]
    moves = [(tag / study / name, number) for study, name, number in plan["moves"]]
    for source, number in moves:
        renamed = target / f"v{number:04d}{source.name[source.name.index('.') :]}"
        if source.exists() and not renamed.exists():
            source.rename(renamed)
    for source, _ in moves:
        source.with_name(f"{source.name.partition('.')[0]}.json").unlink(missing_ok=True)
    for study in plan["from"]:
        _remove_emptied(tag / study, target)
    path.unlink()


def _remove_emptied(folder: Path, target: Path) -> None:
    """Remove a folder whose versions have moved. What else lies in it is kept with them."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        path.rename(next(_free_names(target, path.name)))
    if folder.is_dir():
        folder.rmdir()


def _free_names(target: Path, name: str) -> Iterator[Path]:
    number = 1
    while True:
        path = target / f"former-{number}-{name}"
        if not path.exists():
            yield path
        number += 1
