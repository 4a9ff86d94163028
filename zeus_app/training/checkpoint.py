"""Versions of the trained weights: written atomically, listed, served, and rolled back."""

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
"""The version of a model that was never trained."""
RUNNING = "running"
"""The version that stands for the running or interrupted training."""


@dataclass(frozen=True)
class CheckpointInfo:
    """A version without its weights.

    The field names are keys of public JSON (v0001.json and GET /zeus/checkpoints), so they stay.

    Attributes:
        version: "v0001" and so on.
        created: ISO 8601, UTC.
        epoch: epoch of these weights, counted from 1.
        score: mean validation DSC in [0, 1]; None without validation.
        studies: ids of the studies that this version and its ancestors were trained on. Scoring
            leaves them out.
        patients: patients of these studies.
        validation: ids of the studies that chose the epoch.
        fitted_to: what the weights belong to, by role: frozen towers, labels, sequences. The code
            calls it `trained_with`.
        parent: version that the training started from, or "untrained".
        left_out: skipped study -> reason.
        note: how the epoch was chosen, in words.
        settings: the TrainConfig.
        epochs: every `Epoch` of the training, as a dictionary.
        seconds: wall-clock time of the training.
        prepare_seconds: wall-clock time of encoding and other preparation before it; None in
            versions of Zeus 0.2.0 and older.
        identity: hash of recipe, cases and origin; equal for the same training.
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
    prepare_seconds: float | None = None
    identity: str = ""


_INFO = TypeAdapter(CheckpointInfo)


class Checkpoints:
    """A folder of versions, and the name of the served one.

    The weights are written first, then the JSON that names them, then `served.json`, each by an
    atomic rename. A process killed anywhere leaves the last complete version served.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def resume_path(self) -> Path:
        """File with the last epoch of a running or interrupted training."""
        return self.folder / "running.pt"

    def versions(self) -> list[CheckpointInfo]:
        """All versions, the oldest first."""
        paths = sorted(self.folder.glob("v[0-9]*.json"))
        infos = [_INFO.validate_json(path.read_bytes()) for path in paths]
        return [info for info in infos if self._weights(info.version).exists()]

    def served(self) -> CheckpointInfo | None:
        """The served version; None before the first training or while "untrained" is served."""
        path = self.folder / "served.json"
        if not path.exists():
            return None
        version = json.loads(path.read_text(encoding="utf-8"))["version"]
        return None if version is None else self.info(version)

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
        try:
            saved = self.read(self.resume_path)
        except FileNotFoundError as error:
            raise UnknownNameError(
                "no running or interrupted training has finished an epoch",
                expected=", ".join([*(info.version for info in self.versions()), UNTRAINED]),
                remedy="list the versions with GET /zeus/checkpoints",
            ) from error
        best = saved["run"]["best_state"] or saved["model"]
        return self.publish(best, CheckpointInfo(**saved["info"]))

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

    def load(self, version: str, *, trained_with: Mapping[str, str]) -> dict[str, torch.Tensor]:
        """The weights of a version.

        Args:
            version: its name.
            trained_with: role -> frozen tower, labels or sequences that the weights must belong to.
                Roles that are not given are not compared.

        Raises:
            InputError: the version was trained with something else; the message names the roles.
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
        return self.read(self._weights(version))

    def _weights(self, version: str) -> Path:
        if not re.fullmatch(r"v\d{4,}", version):
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
