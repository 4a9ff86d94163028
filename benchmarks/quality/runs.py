"""The file of all runs and ideas: benchmarks/results/quality.json."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from zeus_app.errors import InputError
from zeus_app.storage.atomic import write_text_atomically

Run = Mapping[str, Any]
"""One training and its scores: the fields of `RunKey`, and those that `experiment.run` adds."""


@dataclass(frozen=True)
class Idea:
    """Settings with a name.

    Attributes:
        name: the name in the tables.
        settings: values of `ZeusConfig` fields that differ from the plan's.
        recipe: parameters of POST /train/zeus; empty for the default recipe.
        against: name of the idea that it is compared with; empty for none.
    """

    name: str
    settings: Mapping[str, str]
    recipe: Mapping[str, str]
    against: str = ""


@dataclass(frozen=True)
class RunKey:
    """What one run is, beside its settings.

    Attributes:
        idea: name of the idea.
        target: name of the target.
        fold: number of the fold, from 0.
        seed: seed of the training, and of the initial weights.
        seconds: time budget of the training.
        patients: training patients; 0 for all of the fold's.
    """

    idea: str
    target: str
    fold: int
    seed: int
    seconds: float
    patients: int

    @classmethod
    def of(cls, run: Run) -> "RunKey":
        """The key of a stored run."""
        return cls(**{field.name: run[field.name] for field in fields(cls)})

    def __str__(self) -> str:
        patients = f", {self.patients} patients" if self.patients else ""
        return (
            f"{self.idea}: {self.target}, fold {self.fold}, seed {self.seed},"
            f" {self.seconds:g} s{patients}"
        )


class Runs:
    """The stored runs, and a remark for each idea.

    Args:
        path: the JSON file; made at the first run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def content(self) -> dict[str, Any]:
        """The present content of the file: "ideas" by name, and "runs"."""
        if not self._path.exists():
            return {"ideas": {}, "runs": []}
        content: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        return content

    def find(self, key: RunKey) -> Run | None:
        """The run of this key."""
        return next((run for run in self.content["runs"] if RunKey.of(run) == key), None)

    def check(self, idea: Idea, target: str) -> None:
        """Refuse an idea that has runs with other settings on this target.

        Raises:
            InputError: two ideas would share one name.
        """
        stored = [
            run
            for run in self.content["runs"]
            if (run["idea"], run["target"]) == (idea.name, target)
        ]
        for run in stored:
            if (run["settings"], run["recipe"]) != (idea.settings, idea.recipe):
                raise InputError(
                    f"idea {idea.name!r} with {describe(idea.settings, idea.recipe)}",
                    expected=f"its settings of before: {describe(run['settings'], run['recipe'])}",
                    remedy="choose another --name, or measure all its runs again with --again",
                )

    def put(self, run: Run) -> None:
        """Store a run, in the place of an earlier run of the same key."""
        content, key = self.content, RunKey.of(run)
        runs = [stored for stored in content["runs"] if RunKey.of(stored) != key]
        self._write({**content, "runs": [*runs, dict(run)]})

    def forget(self, keys: Collection[RunKey]) -> None:
        """Remove runs."""
        content = self.content
        runs = [run for run in content["runs"] if RunKey.of(run) not in keys]
        self._write({**content, "runs": runs})

    def remark(self, idea: str, **remarks: str) -> None:
        """Store what an idea is compared with ("against"), and the verdict on it ("verdict")."""
        content = self.content
        known = content["ideas"].get(idea, {})
        ideas = {**content["ideas"], idea: {**known, **remarks}}
        self._write({**content, "ideas": ideas})

    def _write(self, content: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(self._path, json.dumps(content, indent=1) + "\n")


def describe(settings: Mapping[str, str], recipe: Mapping[str, str]) -> str:
    """Settings as options of the command line."""
    options = [f"--set {name}={value}" for name, value in settings.items()]
    options += [f"--train {name}={value}" for name, value in recipe.items()]
    return " ".join(options) or "the defaults"
