"""Versions of the trained weights: written atomically, listed, served, and rolled back."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.storage.process_lock import ProcessLock
from zeus_app.training.checkpoint_files import (
    UNTRAINED,
    CheckpointInfo,
    UnusableVersion,
    read_resume,
    read_version,
)

__all__ = ["RUNNING", "UNTRAINED", "CheckpointInfo", "Checkpoints"]
logger = logging.getLogger(__name__)

RUNNING = "running"
"""The version that stands for the running or interrupted training."""
TRAINING, LEARNING = "training", "learning after a case"
"""What the holder of the lock on the checkpoints does."""
OTHER_WORK_ENDS_S = 60.0
"""How long a training waits for learning after a case, which gives way; and the reverse."""
_VERSION = re.compile(r"v(\d{4,})")


class Checkpoints:
    """A folder of versions, and the name of the served one.

    The weights are written first, then the JSON that names them, then `served.json`, each by an
    atomic rename. A process killed anywhere leaves the last complete version served.

    Args:
        folder: the folder; it may be missing.
        pinned: a version, or "untrained", that this object calls served whatever the folder says.
    """

    def __init__(self, folder: Path, *, pinned: str = "") -> None:
        self.folder = folder
        self._pinned = pinned

    @property
    def resume_path(self) -> Path:
        """File with the last epoch of a running or interrupted training."""
        return self.folder / "running.pt"

    @property
    def lock(self) -> ProcessLock:
        """Held by whatever trains these weights, so that no other process does too."""
        return ProcessLock(self.folder / ".training.lock", "these checkpoints")

    @property
    def is_training(self) -> bool:
        """Whether a training of any process writes these checkpoints."""
        return self.lock.holder().get("work") == TRAINING

    def versions(self) -> list[CheckpointInfo]:
        """All versions that can be used, the oldest first."""
        return [version for version in self._all() if isinstance(version, CheckpointInfo)]

    def unusable(self) -> list[UnusableVersion]:
        """The versions whose files are damaged or foreign, the oldest first."""
        return [version for version in self._all() if isinstance(version, UnusableVersion)]

    def _all(self) -> list[CheckpointInfo | UnusableVersion]:
        paths = sorted(p for p in self.folder.glob("v*.json") if _VERSION.fullmatch(p.stem))
        return [version for path in paths if (version := read_version(path))]

    def served(self) -> CheckpointInfo | None:
        """The served version; None before the first training or while "untrained" is served.

        If the files of the served version cannot be used, the newest version that can is served.

        Raises:
            UnknownNameError: there is no version that could be pinned by this name.
        """
        if self._pinned:
            return None if self._pinned == UNTRAINED else self.info(self._pinned)
        path = self.folder / "served.json"
        if not path.exists():
            return None
        name = _served_name(path)
        if name is None:
            return None
        versions = self.versions()
        for info in versions:
            if info.version == name:
                return info
        newest = versions[-1] if versions else None
        logger.warning(
            "Zeus: the served checkpoint %r cannot be used; %s is served instead",
            name, newest.version if newest else UNTRAINED,
        )  # fmt: skip
        return newest

    def info(self, version: str) -> CheckpointInfo:
        """One version. Raises UnknownNameError if there is no such version."""
        versions = {info.version: info for info in self.versions()}
        if version not in versions:
            raise UnknownNameError(
                f"unknown checkpoint {version!r}",
                expected=", ".join([*versions, UNTRAINED]),
                remedy="list the versions with GET /zeus/checkpoints",
            )
        return versions[version]

    def serve(self, version: str) -> str:
        """Use a version from the next inference on.

        Args:
            version: "v0001" and so on; "untrained"; or "running", the best weights so far of the
                running or interrupted training, which become a version of their own.

        Returns:
            The name of the served version.
        """
        if version == RUNNING:
            return self._publish_running().version
        name = None if version == UNTRAINED else self.info(version).version
        write_text_atomically(self.folder / "served.json", json.dumps({"version": name}))
        return version

    def _publish_running(self) -> CheckpointInfo:
        saved = self.interrupted()
        if saved is None:
            raise UnknownNameError(
                "no running or interrupted training has finished an epoch",
                expected=", ".join([*(info.version for info in self.versions()), UNTRAINED]),
                remedy="list the versions with GET /zeus/checkpoints",
            )
        best = saved["run"]["best_state"] or saved["model"]
        return self.publish(best, CheckpointInfo(**saved["info"]))

    def interrupted(self) -> dict[str, Any] | None:
        """What the last epoch of a running or interrupted training saved, if it can be read."""
        return read_resume(self.resume_path)

    def publish(
        self, state: Mapping[str, torch.Tensor], info: CheckpointInfo, *, serve: bool = True
    ) -> CheckpointInfo:
        """Store weights as a new version and serve it.

        A training that is killed after publishing publishes again when it resumes. So a version
        with the same epochs, seconds included, is served again instead of stored twice.

        Args:
            state: the trainable part's state dict.
            info: without `version` and `created`, which are filled in here.
            serve: False leaves the served version as it is.
        """
        same = [known for known in self.versions() if info.epochs and known.epochs == info.epochs]
        version = same[-1].version if same else self._store(state, info)
        if serve:
            self.serve(version)
        return self.info(version)

    def _store(self, state: Mapping[str, torch.Tensor], info: CheckpointInfo) -> str:
        version = self._claim()
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        full = {**asdict(info), "version": version, "created": stamp}
        self.save(self._weights(version), dict(state))
        write_text_atomically(self.folder / f"{version}.json", json.dumps(full, indent=1))
        return version

    def _claim(self) -> str:
        """Reserve the next number with an empty weights file, so that no other process takes it.

        Without its JSON the file is not a version. An unused number is never given again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        matches = (_VERSION.fullmatch(path.stem) for path in self.folder.glob("v*.*"))
        number = max((int(match[1]) for match in matches if match), default=0) + 1
        while True:
            version = f"v{number:04d}"
            try:
                self._weights(version).touch(exist_ok=False)
            except FileExistsError:
                number += 1
                continue
            return version

    def load(self, version: str, *, trained_with: Mapping[str, str]) -> dict[str, torch.Tensor]:
        """The weights of a version.

        Args:
            version: its name.
            trained_with: role -> frozen tower, labels or sequences that the weights must belong to.
                Roles that are not given are not compared.

        Raises:
            InputError: the version was trained with something else; the message names the roles.
                Or the weights were damaged after the list of versions was made.
        """
        info = self.info(version)
        differences = [
            f"{role}: {info.fitted_to.get(role)} then, {now} now"
            for role, now in trained_with.items()
            if info.fitted_to.get(role) != now
        ]
        if differences:
            raise InputError(
                f"checkpoint {version} was trained with something else ({'; '.join(differences)})",
                expected="the towers, labels and sequences that it was trained with",
                remedy="serve another version, train again, or restore the profile and target",
            )
        try:
            return self.read(self._weights(version))
        except Exception as error:  # torch raises exceptions of many types for damaged files
            raise InputError(
                f"the weights of checkpoint {version} cannot be read",
                expected="a whole file of weights that Zeus saved",
                remedy="serve another version, for example with"
                f" POST /zeus/checkpoints/{UNTRAINED}/serve",
            ) from error

    def _weights(self, version: str) -> Path:
        if not _VERSION.fullmatch(version):
            raise UnknownNameError(
                f"{version!r} is not a checkpoint",
                expected="a version such as v0001",
                remedy="list the versions with GET /zeus/checkpoints",
            )
        return self.folder / f"{version}.pt"

    @staticmethod
    def save(path: Path, value: dict[str, Any]) -> None:
        """Write a dictionary of tensors and plain values by an atomic rename."""
        write_atomically(path, lambda temporary: torch.save(value, temporary))

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """Read a dictionary that `save` wrote. No code in the file is run."""
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded


def _served_name(path: Path) -> str | None:
    """The version that served.json names; None for "untrained"; empty if the file is damaged."""
    try:
        name = json.loads(path.read_bytes())["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return name if name is None or isinstance(name, str) else ""
