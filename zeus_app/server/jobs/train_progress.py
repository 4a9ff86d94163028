"""A training process tells where it is: lines for GET /train/, a small file for GET /zeus/progress.

Training runs in a process of its own that knows nothing of the server but the state folder.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zeus_app.settings.config import TrainConfig
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.training.loop import Epoch

_BETWEEN_S = 2.0
_BETWEEN_LINES_S = 30.0
"""An epoch may last minutes; whoever watches the lines must see that it goes on."""


class TrainProgress:
    """Shows a training: a line when a stage begins, for every epoch, and now and then meanwhile.

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
        self._shown = time.monotonic()

    def stage(self, stage: str, done: int, total: int) -> None:
        """The Report of what comes before the first epoch."""
        now = time.monotonic()
        if stage != self._stage or done == total or now - self._told >= _BETWEEN_S:
            self._stage, self._told = stage, now
            self._write({"stage": stage, "done": done, "total": total})
            self._say(f"{stage} {done}/{total}", now)

    def epoch(self, epoch: Epoch, done: int, total: int) -> None:
        """Told after every batch, and every study that is validated on; shows whole epochs."""
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
        where = f"epoch {epoch.number}/{self._config.epochs}"
        rest = f"at most {left:.0f} s left"
        if done == total:
            score = "not measured" if epoch.score is None else f"{epoch.score:.4f}"
            self._say(f"{where}, loss {epoch.loss:.4f}, validation DSC {score}, {rest}", now)
        elif now - self._shown >= _BETWEEN_LINES_S:
            self._say(f"{where}, {done / total:.0%} done, loss {epoch.loss:.4f}, {rest}", now)

    def _say(self, line: str, now: float) -> None:
        self._shown = now
        self._show(f"Zeus: {line}")

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
