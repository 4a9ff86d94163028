"""Move what is stored of former studies to the study that they have become.

Label versions become one history. Of predictions, clicks and notes the newest counts; the others
stay beside it, see `storage/newest.py`. Copies of volumes are deleted: they are made again.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from zeus_app.labels.merge import merge_histories
from zeus_app.labels.versions import TAG_PATTERN, LabelHistory
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.newest import keep_newest, merge_folders, written
from zeus_app.storage.notes import read_note, write_note
from zeus_app.storage.state import folder_name

Json = dict[str, Any]
_STORED = (
    "labels/*/*/", "*/originals/*/", "clicks/*/*/", "clicks/*/*.json", "info/*.json",
    "info/strategies/*.json",
)  # fmt: skip


@dataclass(frozen=True)
class StudyMove:
    """Studies that have become one.

    Attributes:
        former: their ids.
        now: the id now.
        sequences: former id -> the sequence now, where the former study had one alone.
        click_names: further names of files of clicks; version 0.2.0 cut the id at its last dot.
    """

    former: tuple[str, ...]
    now: str
    sequences: Mapping[str, str] = field(default_factory=dict)
    click_names: tuple[str, ...] = ()

    @property
    def folders(self) -> list[str]:
        """The names of the former studies' files and folders."""
        return [folder_name(study) for study in self.former]

    @property
    def folder(self) -> str:
        """The name of the study's files and folders now."""
        return folder_name(self.now)

    def renewed(self, study: str, content: Mapping[str, Any]) -> Json:
        """A JSON object that was written about a former study, with the id now."""
        changed = {study: self.now, f"{study}.nii.gz": f"{self.now}.nii.gz"}
        return {
            key: changed.get(value, value) if isinstance(value, str) else value
            for key, value in content.items()
        }

    def renewed_label(self, study: str, info: Mapping[str, Any]) -> Json:
        """The info of a former study's label, with the id and the sequence now."""
        sequence = self.sequences.get(study)
        named = {"sequence": sequence} if sequence and "sequence" in info else {}
        return {**self.renewed(study, info), **named}


def stored_ids(target: Path) -> set[str]:
    """The ids of all studies of which something is stored, whether or not they exist.

    Args:
        target: the target's folder in the state folder.
    """
    names = (path.name for pattern in _STORED for path in target.glob(pattern))
    return {unquote(_without_time(name.removesuffix(".json"))) for name in names}


def move_study(target: Path, move: StudyMove) -> int:
    """Move all that is stored of some studies; returns how many files and folders were moved.

    Args:
        target: the target's folder in the state folder.
        move: the studies.
    """
    history = LabelHistory(target / "labels")
    moved = sum(move_labels(history, tag, move) for tag in label_tags(history))
    moved += sum(_move_predictions(folder, move) for folder in target.glob("*/originals"))
    moved += sum(_move_clicks(folder, move) for folder in target.glob("clicks/*/"))
    moved += sum(_move_notes(target / folder, move) for folder in ("info", "info/strategies"))
    for name in move.folders:
        for copy in [*_copies(target, name)]:
            copy.unlink(missing_ok=True)
    return moved


def label_tags(history: LabelHistory) -> list[str]:
    """The tags of submitted labels, without folders that are no tags."""
    return [tag for tag in history.tags() if re.fullmatch(TAG_PATTERN, tag)]


def move_labels(history: LabelHistory, tag: str, move: StudyMove) -> int:
    """Move the label versions of one tag; returns how many versions or folders were moved."""
    former = [study for study in move.former if history.folder_of(study, tag).is_dir()]
    target = history.folder_of(move.now, tag)
    if len(former) == 1 and not target.exists():
        (study,) = former
        folder = history.folder_of(study, tag)
        for path in folder.glob("*.json"):
            _rewrite(path, partial(move.renewed_label, study))
        folder.rename(target)
        return 1
    return merge_histories(history, tag, former, move.now, renew=move.renewed_label)


def move_prediction(prediction: Path, study: str, move: StudyMove) -> int:
    """Move one checkpoint's prediction.

    Args:
        prediction: its folder, in that of its study.
        study: the id of its study.
        move: to the id now.
    """
    for path in prediction.rglob("*.json"):
        _rewrite(path, partial(move.renewed, study))
    target = prediction.parents[1] / move.folder / prediction.name
    target.parent.mkdir(exist_ok=True)
    return keep_newest([prediction], target, _answered)


def _move_predictions(originals: Path, move: StudyMove) -> int:
    """Move predictions, those of removed uploads included."""
    for study in move.former:
        for path in (originals / folder_name(study)).rglob("*.json"):
            _rewrite(path, partial(move.renewed, study))
        for path in originals.glob(f".removed-*-{folder_name(study)}"):
            if _without_time(path.name) == folder_name(study):
                path.rename(_free_removed(originals, path, move.folder))
    folders = [originals / name for name in move.folders]
    return merge_folders(folders, originals / move.folder, _answered)


def _free_removed(originals: Path, path: Path, name: str) -> Path:
    """The name of a removed study's predictions now: the time of the removal is a part of it."""
    nanoseconds = int(path.name.split("-")[1])
    while (renamed := originals / f".removed-{nanoseconds}-{name}").exists():
        nanoseconds += 1
    return renamed


def _without_time(name: str) -> str:
    """`x` for `.removed-1718-x`; any other name as it is."""
    match = re.fullmatch(r"\.removed-\d+-(.+)", name)
    return match[1] if match else name


def _answered(path: Path) -> float:
    """When a prediction was made, in seconds since 1970."""
    answered = read_note(path / "answer.json").get("answered")
    return float(answered) if isinstance(answered, int | float) else written(path)


def _move_clicks(user: Path, move: StudyMove) -> int:
    """Move the clicks of one user, and the files that the user sent with them."""
    names = [*move.folders, *move.click_names]
    files = [user / f"{name}.json" for name in names]
    moved = keep_newest(files, user / f"{move.folder}.json", written)
    return moved + merge_folders(
        [user / name for name in move.folders], user / move.folder, written
    )


def _move_notes(folder: Path, move: StudyMove) -> int:
    """Merge notes: of entries with one name the newest counts. Each file is kept as it was."""
    target = folder / f"{move.folder}.json"
    files = [folder / f"{name}.json" for name in move.folders]
    present = sorted((path for path in (*files, target) if path.exists()), key=written)
    notes: dict[str, Any] = {}
    for path in present:
        notes |= read_note(path)
    if len(present) > 1 and notes != read_note(present[-1]):
        write_note(present[-1], notes)
    return keep_newest(files, target, written)


def _copies(target: Path, name: str) -> Iterator[Path]:
    """Copies of volumes, labels and data sets, which are made again when a client asks."""
    for pattern in (f"{name}_*", f"labels/{name}_*", "dataset.zip"):
        yield from (path for path in target.glob(f"volumes/{pattern}") if path.is_file())


def _rewrite(path: Path, renew: Callable[[Json], Json]) -> None:
    """Replace a JSON object if it changes. A damaged file stays; whoever reads it says so."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(content, dict) and (renewed := renew(content)) != content:
        write_text_atomically(path, json.dumps(renewed, indent=1))
