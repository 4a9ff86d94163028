"""A training process tells where it is: lines for GET /train/, a small file for GET /zeus/progress.

Training runs in a process of its own that knows nothing of the server but the state folder.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zeus_app.config import TrainConfig
from zeus_app.files import write_text_atomically
from zeus_app.training.loop import Epoch

_BETWEEN_S = 2.0


class TrainProgress:
    """Shows a training: a line when a stage begins, every few seconds, and for every epoch.

    Args:
        path: the file that GET /zeus/progress reads.
        config: tells how long the training may last.
        show: gets the lines.
    """

    def __init__(
        self, path: Path, config: TrainConfig, *, show: Callable[[str], None] = print
    ) -> None:
        self._path = path
        self._config = config
        self._show = show
        self._stage = ""
        self._told = 0.0

    def stage(self, stage: str, done: int, total: int) -> None:
        """The Report of what comes before the first epoch."""
        now = time.monotonic()
        if stage != self._stage or done == total or now - self._told >= _BETWEEN_S:
            self._stage, self._told = stage, now
            self._write({"stage": stage, "done": done, "total": total})
            self._show(f"Zeus: {stage} {done}/{total}")

    def epoch(self, epoch: Epoch, done: int, total: int) -> None:
        """Told after every batch; shows an epoch when its last batch is done."""
        now = time.monotonic()
        if done < total and now - self._told < _BETWEEN_S:
            return
        self._told = now
        left = self._seconds_left(epoch, done / total)
        self._write({
            "stage": "training",
            "done": epoch.number - (done < total),
            "total": self._config.epochs,
            "loss": epoch.loss,
            "validation_dsc": epoch.score,
            "seconds": round(epoch.seconds, 1),
            "seconds_left": round(left),
        })  # fmt: skip
        if done == total:
            score = "not measured" if epoch.score is None else f"{epoch.score:.4f}"
            self._show(
                f"Zeus: epoch {epoch.number}/{self._config.epochs}, loss {epoch.loss:.4f}, "
                f"validation DSC {score}, at most {left:.0f} s left"
            )

    def _seconds_left(self, epoch: Epoch, share: float) -> float:
        """By the pace so far; a time budget may end it sooner, and so may an early stop."""
        epochs = epoch.number - 1 + share
        left = epoch.seconds / epochs * (self._config.epochs - epochs)
        budget = self._config.time_budget_s
        return left if budget is None else max(0.0, min(left, budget - epoch.seconds))

    def _write(self, state: dict[str, Any]) -> None:
        write_text_atomically(self._path, json.dumps(state))


def read_progress(path: Path) -> dict[str, Any] | None:
    """Where the last training was; None before the first."""
    if not path.exists():
        return None
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return state
