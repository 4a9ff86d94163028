"""Versions of submitted labels on disk. The newest version counts; none is ever deleted.

The labels of one study and tag are the files v0001.nii.gz, v0002.nii.gz and so on. Each has a JSON
file of the same number. Writing the JSON claims the number, because a server and
`zeus import-labels` may write at the same time. Removing a label adds an empty file such as
v0003.removed. Restoring version 1 adds a copy of it, such as v0004.nii.gz.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.labels.files import write_volume
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.storage.file_lock import file_lock
from zeus_app.storage.notes import check_note, read_note, write_note
from zeus_app.storage.state import folder_name
from zeus_app.types import Volume

FINAL, ORIGINAL = "final", "original"
"""Tags of MONAI Label's DefaultLabelTag, repeated here because importing them takes seconds."""
REMOVED = ".removed"
_FILE = re.compile(r"v(\d{4,})(\.nii\.gz|\.removed)")
TAG_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
OWN_KEYS = ("ts", "name", "sequence", "model", "params", "score", "restored_from",
            "imported_from", "study_uid")  # fmt: skip
"""Entries of a label's info that Zeus itself writes. A client's notes never replace them."""


@dataclass(frozen=True)
class LabelVersion:
    """One version of a label.

    Attributes:
        number: 1, 2, 3, ... in the order of arrival.
        path: the .nii.gz file, or the empty .removed file of a removal.
        info: what the client sent with the label, and `ts`, seconds since 1970.
    """

    number: int
    path: Path
    info: Mapping[str, Any]

    @property
    def removed(self) -> bool:
        """Whether this version removes the label."""
        return self.path.suffix == REMOVED


class LabelHistory:
    """The label versions of one target: <tag>/<study>/v0001.nii.gz and so on.

    Attributes:
        other_names: study id -> the name under which its labels are stored, where it is another.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.other_names: Mapping[str, str] = {}

    def tags(self) -> list[str]:
        """All tags with a submitted label, removed ones included."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir())

    def studies(self, tag: str) -> set[str]:
        """Ids of all studies with a label of this tag, whether or not the studies still exist."""
        ids = {name: study for study, name in self.other_names.items()}
        return {ids.get(name, name) for name in self.stored_names(tag)}

    def stored_names(self, tag: str) -> set[str]:
        """The names under which labels of this tag are stored."""
        folders = self._folder_of_tag(tag).glob("*")
        return {unquote(path.name) for path in folders if path.is_dir()}

    def versions(self, study: str, tag: str) -> list[LabelVersion]:
        """All versions, the oldest first."""
        return self.stored_versions(self.other_names.get(study, study), tag)

    def stored_versions(self, name: str, tag: str) -> list[LabelVersion]:
        """All versions that are stored under a name, the oldest first."""
        versions = [
            LabelVersion(int(match[1]), path, _read_info(path))
            for path in (self._folder_of_tag(tag) / folder_name(name)).glob("v*")
            if (match := _FILE.fullmatch(path.name))
        ]
        return sorted(versions, key=lambda version: version.number)

    def newest(self, study: str, tag: str) -> LabelVersion | None:
        """The version that counts; None if there is no label or it was removed."""
        versions = self.versions(study, tag)
        return versions[-1] if versions and not versions[-1].removed else None

    def save(self, study: str, tag: str, label: Volume, info: Mapping[str, Any]) -> LabelVersion:
        """Add a version. `label` must be uint8 and checked."""
        path = self._claim(study, tag, ".nii.gz", info)
        write_atomically(path, lambda temporary: write_volume(temporary, label))
        return LabelVersion(_number(path), path, _read_info(path))

    def remove(self, study: str, tag: str) -> None:
        """Remove a label; its versions stay. Raises UnknownNameError if there is no label."""
        if self.newest(study, tag) is None:
            raise _no_label(study, tag)
        write_text_atomically(self._claim(study, tag, REMOVED, {}), "")

    def restore(self, study: str, tag: str, number: int) -> LabelVersion:
        """Add a copy of an older version, which then counts.

        Raises:
            UnknownNameError: there is no version of this number.
        """
        labels = {v.number: v for v in self.versions(study, tag) if not v.removed}
        if number not in labels:
            raise UnknownNameError(
                f"label {tag!r} of study {study!r} has no version {number}",
                expected=", ".join(map(str, labels)) or "a label that was submitted before",
                remedy=f"list the versions with GET /zeus/labels/{study}",
            )
        old = labels[number]
        path = self._claim(study, tag, ".nii.gz", {**old.info, "restored_from": number})
        write_atomically(path, lambda temporary: shutil.copyfile(old.path, temporary))
        return LabelVersion(_number(path), path, _read_info(path))

    def update_info(self, study: str, tag: str, info: Mapping[str, Any]) -> None:
        """Add to the info of the newest version. Updates of other processes are not lost.

        Raises:
            UnknownNameError: there is no label.
            InputError: the notes, the earlier ones included, are too large.
        """
        with file_lock(self._folder / ".notes.lock"):
            newest = self.newest(study, tag)
            if newest is None:
                raise _no_label(study, tag)
            merged = {**newest.info, **info}
            if info.keys() - set(OWN_KEYS):  # what Zeus itself adds is not refused
                check_note(merged, own_keys=OWN_KEYS)
            write_note(_info_path(newest.path), merged)

    def folder_of(self, study: str, tag: str) -> Path:
        """The folder of a label's versions. Raises InputError if the tag is no valid name."""
        return self._folder_of_tag(tag) / folder_name(self.other_names.get(study, study))

    def _folder_of_tag(self, tag: str) -> Path:
        if not re.fullmatch(TAG_PATTERN, tag):
            raise InputError(
                f"label tag {tag!r}",
                expected="letters, digits, '-', '_' and '.', beginning with a letter or digit",
                remedy="choose another tag, for example final",
            )
        return self._folder / tag

    def _claim(self, study: str, tag: str, ending: str, info: Mapping[str, Any]) -> Path:
        """Take the next free number by writing its JSON, which only one process can create.

        The JSON comes before the label, so every label has one. A JSON without a label counts for
        nothing.
        """
        folder = self.folder_of(study, tag)
        folder.mkdir(parents=True, exist_ok=True)
        number = max((version.number for version in self.versions(study, tag)), default=0) + 1
        text = json.dumps({**info, "ts": int(time.time())}, indent=1, default=str)
        while True:
            path = folder / f"v{number:04d}{ending}"
            try:
                with _info_path(path).open("x", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            except FileExistsError:
                number += 1
                continue
            return path


def _no_label(study: str, tag: str) -> UnknownNameError:
    return UnknownNameError(
        f"study {study!r} has no label tagged {tag!r}",
        expected="a study with a submitted label",
        remedy=f"submit a label with PUT /datastore/label?image={study}",
    )


def _number(path: Path) -> int:
    return int(path.name[1:].split(".")[0])


def _info_path(path: Path) -> Path:
    return path.with_name(f"v{_number(path):04d}.json")


def _read_info(path: Path) -> Mapping[str, Any]:
    info = read_note(_info_path(path))
    return info if "ts" in info else {**info, "ts": int(path.stat().st_mtime)}
