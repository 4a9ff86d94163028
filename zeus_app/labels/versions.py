"""Submitted labels on disk: every version is kept, the newest counts, nothing is ever deleted.

A study's labels of one tag are files v0001.nii.gz, v0002.nii.gz, ... with a JSON beside each,
which claims the number: a server and `zeus import-labels` may write at the same time.
Removing a label adds v0003.removed; restoring version 1 adds v0004 with its voxels.
"""

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.labels.files import write_volume
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.types import Volume

FINAL, ORIGINAL = "final", "original"
"""MONAI Label's tags (DefaultLabelTag), spelt out: importing them takes seconds."""
REMOVED = ".removed"
_FILE = re.compile(r"v(\d{4,})(\.nii\.gz|\.removed)")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class LabelVersion:
    """One entry of a label's history.

    Attributes:
        number: 1, 2, 3, ... as they came.
        path: the .nii.gz, or the empty .removed file that ends a label.
        info: what the client sent along, and `ts`, seconds since 1970.
    """

    number: int
    path: Path
    info: Mapping[str, Any]

    @property
    def removed(self) -> bool:
        """Whether this entry took the label away."""
        return self.path.suffix == REMOVED


class LabelHistory:
    """The labels of one target, by tag and study."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def tags(self) -> list[str]:
        """The tags under which anything was ever submitted."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir())

    def studies(self, tag: str) -> set[str]:
        """Those that anything was ever submitted for under a tag, be they still there or not."""
        return {unquote(path.name) for path in (self._folder / tag).glob("*") if path.is_dir()}

    def versions(self, study: str, tag: str) -> list[LabelVersion]:
        """All entries, the oldest first."""
        found = []
        for path in self.home(study, tag).glob("v*"):
            if match := _FILE.fullmatch(path.name):
                found.append(LabelVersion(int(match[1]), path, _read_info(path)))
        return sorted(found, key=lambda version: version.number)

    def newest(self, study: str, tag: str) -> LabelVersion | None:
        """The entry that counts; None when there is no label, or it was removed."""
        versions = self.versions(study, tag)
        return versions[-1] if versions and not versions[-1].removed else None

    def save(self, study: str, tag: str, label: Volume, info: Mapping[str, Any]) -> LabelVersion:
        """Add a version. `label` is uint8 and was checked."""
        path = self._claim(study, tag, ".nii.gz", info)
        write_atomically(path, lambda temporary: write_volume(temporary, label))
        return LabelVersion(_number(path), path, _read_info(path))

    def remove(self, study: str, tag: str) -> None:
        """End a label; its versions stay. Raises UnknownNameError when there is none."""
        if self.newest(study, tag) is None:
            raise _no_label(study, tag)
        write_text_atomically(self._claim(study, tag, REMOVED, {}), "")

    def restore(self, study: str, tag: str, number: int) -> LabelVersion:
        """Add a copy of an older version, which thereby counts again."""
        versions = {one.number: one for one in self.versions(study, tag) if not one.removed}
        if number not in versions:
            raise UnknownNameError(
                f"label {tag!r} of study {study!r} has no version {number}",
                expected=", ".join(map(str, versions)) or "a label that was submitted before",
                remedy="list the versions with GET /zeus/labels/{study}",
            )
        old = versions[number]
        path = self._claim(study, tag, ".nii.gz", {**old.info, "restored_from": number})
        write_atomically(path, lambda temporary: shutil.copyfile(old.path, temporary))
        return LabelVersion(_number(path), path, _read_info(path))

    def note(self, study: str, tag: str, info: Mapping[str, Any]) -> None:
        """Add to what is known of the label that counts."""
        newest = self.newest(study, tag)
        if newest is None:
            raise _no_label(study, tag)
        with self._lock:
            _write_info(newest.path, {**newest.info, **info})

    def home(self, study: str, tag: str) -> Path:
        """The folder that the versions lie in. Raises InputError for a tag that is no name."""
        if not _TAG.fullmatch(tag):
            raise InputError(
                f"label tag {tag!r}",
                expected="letters, digits, '-', '_' and '.', such as final",
                remedy="choose another tag",
            )
        return self._folder / tag / folder_name(study)

    def _claim(self, study: str, tag: str, ending: str, info: Mapping[str, Any]) -> Path:
        """Take the next number, which no other process can have then, by writing its note.

        The note comes first: a label that counts always has one, and a number whose label was
        never written stays free of meaning.
        """
        home = self.home(study, tag)
        home.mkdir(parents=True, exist_ok=True)
        number = max((version.number for version in self.versions(study, tag)), default=0) + 1
        text = json.dumps({**info, "ts": int(time.time())}, indent=1, default=str)
        while True:
            path = home / f"v{number:04d}{ending}"
            try:
                with _info_path(path).open("x", encoding="utf-8") as note:
                    note.write(text)
                    note.flush()
                    os.fsync(note.fileno())
            except FileExistsError:
                number += 1
                continue
            return path


def folder_name(study: str) -> str:
    """A study's id as one path component that leads nowhere else."""
    name = quote(study, safe=" ")
    return name.replace(".", "%2E", 1) if name.startswith(".") else name


def _no_label(study: str, tag: str) -> UnknownNameError:
    return UnknownNameError(
        f"study {study!r} has no label tagged {tag!r}",
        expected="a study with a submitted label",
        remedy="submit one with PUT /datastore/label",
    )


def _number(path: Path) -> int:
    return int(path.name[1:].split(".")[0])


def _info_path(path: Path) -> Path:
    return path.with_name(f"v{_number(path):04d}.json")


def _read_info(path: Path) -> Mapping[str, Any]:
    note = _info_path(path)
    if not note.exists():
        return {"ts": int(path.stat().st_mtime)}
    info: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
    return info


def _write_info(path: Path, info: Mapping[str, Any]) -> None:
    write_text_atomically(_info_path(path), json.dumps(info, indent=1, default=str))
