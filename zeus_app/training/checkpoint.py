"""Versioned weights: written atomically, listed, served, rolled back to, resumed from."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.storage.atomic import write_atomically, write_text_atomically

UNTRAINED = "untrained"
RUNNING = "running"


@dataclass(frozen=True)
class CheckpointInfo:
    """What is known of a version without reading its weights.

    Attributes:
        version: "v0001" and so on.
        created: ISO 8601, UTC.
        epoch: the epoch these weights are of.
        score: mean validation DSC in [0, 1], or None without validation.
        studies: ids this version learnt from, and those that the version it started from did;
            scoring leaves them out.
        patients: whose studies these are.
        validation: ids it was chosen by.
        fitted_to: what it belongs to, by role: frozen towers, labels, sequences.
        parent: the version it started from, or "untrained".
        left_out: studies that could not be learnt from -> why.
        note: how it was chosen, in words.
        settings: the TrainConfig.
        epochs: the story of the training, an `Epoch` each.
        seconds: wall-clock time of the training.
        identity: equal for trainings of the same recipe, cases and origin.
    """

    version: str
    created: str
    epoch: int
    score: float | None
    studies: tuple[str, ...]
    validation: tuple[str, ...]
    fitted_to: Mapping[str, str]
    patients: tuple[str, ...] = ()
    parent: str = UNTRAINED
    left_out: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0
    identity: str = ""


_INFO = TypeAdapter(CheckpointInfo)


class Checkpoints:
    """A folder of versions, and the name of the one that is served.

    Weights are written before the JSON that names them, and the JSON before `served.json`, each
    by an atomic rename: a process killed anywhere leaves the last whole version served.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def resume_path(self) -> Path:
        """Where a running training keeps its last epoch."""
        return self.folder / "running.pt"

    def versions(self) -> list[CheckpointInfo]:
        """All versions, the oldest first."""
        paths = sorted(self.folder.glob("v[0-9]*.json"))
        infos = [_INFO.validate_json(path.read_bytes()) for path in paths]
        return [info for info in infos if self._weights(info.version).exists()]

    def served(self) -> CheckpointInfo | None:
        """The version that answers, or None while nothing was trained."""
        path = self.folder / "served.json"
        if not path.exists():
            return None
        version = json.loads(path.read_text(encoding="utf-8"))["version"]
        return None if version is None else self.info(version)

    def info(self, version: str) -> CheckpointInfo:
        """One version. Raises UnknownNameError when there is none of that name."""
        known = {info.version: info for info in self.versions()}
        if version not in known:
            raise UnknownNameError(
                f"unknown checkpoint {version!r}",
                expected=", ".join([*known, UNTRAINED]),
                remedy="list the versions with GET /zeus/checkpoints",
            )
        return known[version]

    def serve(self, version: str) -> str:
        """Let a version answer from the next inference on.

        Args:
            version: its name, "untrained", or "running": what the training that runs or was
                stopped has reached, which becomes a version of its own.

        Returns:
            the name of the version that answers now.
        """
        if version == RUNNING:
            return self._publish_running().version
        name = None if version == UNTRAINED else self.info(version).version
        write_text_atomically(self.folder / "served.json", json.dumps({"version": name}))
        return version

    def _publish_running(self) -> CheckpointInfo:
        try:
            kept = self.read(self.resume_path)
        except FileNotFoundError as error:
            raise UnknownNameError(
                "no training has finished an epoch and not ended",
                expected=", ".join([*(info.version for info in self.versions()), UNTRAINED]),
                remedy="list the versions with GET /zeus/checkpoints",
            ) from error
        best = kept["run"]["best_state"] or kept["model"]
        return self.publish(best, CheckpointInfo(**kept["info"]))

    def publish(self, state: Mapping[str, torch.Tensor], info: CheckpointInfo) -> CheckpointInfo:
        """Store weights under a version of their own and serve them.

        A training that was killed between this and its end comes here again: epochs that are a
        version already, seconds and all, do not become a second one.

        `info.version` and `info.created` are filled in here.
        """
        same = [one for one in self.versions() if info.epochs and one.epochs == info.epochs]
        version = same[-1].version if same else self._store(state, info)
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
        """Take the next number, which no other process can have then, by an empty weights' file.

        It is no version before its JSON is written; a number whose weights never came stays free
        of meaning.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.stem[1:]) for path in self.folder.glob("v[0-9]*.pt")]
        number = max(numbers, default=0) + 1
        while True:
            version = f"v{number:04d}"
            try:
                self._weights(version).touch(exist_ok=False)
            except FileExistsError:
                number += 1
                continue
            return version

    def load(self, version: str, *, fitted_to: Mapping[str, str]) -> dict[str, torch.Tensor]:
        """The weights of a version.

        Args:
            version: its name.
            fitted_to: what they are wanted for, by role.

        Raises:
            InputError: it was fitted to something else; says what differs.
        """
        info = self.info(version)
        differing = [
            f"{role}: {info.fitted_to.get(role)} then, {ours} now"
            for role, ours in fitted_to.items()
            if info.fitted_to.get(role) != ours
        ]
        if differing:
            raise InputError(
                f"checkpoint {version} was fitted to something else ({'; '.join(differing)})",
                expected="the towers, labels and sequences it was trained with",
                remedy="serve another version, train again, or restore the profile and target",
            )
        return self.read(self._weights(version))

    def _weights(self, version: str) -> Path:
        if not re.fullmatch(r"v\d{4,}", version):
            raise UnknownNameError(
                f"{version!r} is no checkpoint", expected="v0001 and so on", remedy="list them"
            )
        return self.folder / f"{version}.pt"

    @staticmethod
    def save(path: Path, value: dict[str, Any]) -> None:
        """Write a dictionary of tensors and plain values, whole or not at all."""
        write_atomically(path, lambda temporary: torch.save(value, temporary))

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """Read what `save` wrote, running no code from the file."""
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded
