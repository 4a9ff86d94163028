"""Progress of a training process: lines for GET /train/, a JSON file for GET /zeus/progress.

A training is a process of its own. It shares only the state folder with the server.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zeus_app.settings.config import TrainConfig
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.training.loop import Epoch

_WRITE_INTERVAL_S = 2.0
_LINE_INTERVAL_S = 30.0
"""An epoch may take minutes; a line every half minute shows that the training is alive."""


class TrainProgress:
    """Reports a training: one line for each stage and each epoch, and one every 30 s in between.

    Args:
        path: the JSON file that GET /zeus/progress reads.
        config: the training's settings; its epochs and time budget bound the remaining time.
        show: called with each line.
    """

    def __init__(self, path: Path, config: TrainConfig, *, show: Callable[[str], None]) -> None:
        self._path = path
        self._config = config
        self._show = show
        self._stage = ""
        self._prepare_began_s: float | None = None
        self._prepare_s = 0.0
        self._last_write_s = 0.0
        self._last_line_s = time.monotonic()

    def stage(self, stage: str, done: int, total: int) -> None:
        """Report a stage before the first epoch. Implements `progress.Report`."""
        now = time.monotonic()
        if self._prepare_began_s is None:
            self._prepare_began_s = now
        self._prepare_s = now - self._prepare_began_s
        if stage != self._stage or done == total or now - self._last_write_s >= _WRITE_INTERVAL_S:
            self._stage, self._last_write_s = stage, now
            self._write({"stage": stage, "done": done, "total": total})
            self._show_line(f"{stage} {done}/{total}", now)

    def epoch(self, epoch: Epoch, done: int, total: int) -> None:
        """Report an epoch. Called after every batch and every validated study.

        Args:
            epoch: the epoch so far.
            done: steps of the epoch that are done.
            total: steps of the epoch.
        """
        now = time.monotonic()
        self._prepare_began_s = None  # a training in two parts prepares its studies twice
        if done < total and now - self._last_write_s < _WRITE_INTERVAL_S:
            return
        self._last_write_s = now
        seconds_left = self._seconds_left(epoch, done / total)
        self._write({
            "stage": "training",
            "done": epoch.number - (done < total),
            "total": self._config.epochs,
            "loss": epoch.loss,
            "validation_dsc": epoch.score,
            "seconds": round(epoch.seconds, 1),
            "seconds_left": round(seconds_left),
        })  # fmt: skip
        title = f"epoch {epoch.number}/{self._config.epochs}"
        rest = f"at most {seconds_left:.0f} s left"
        if done == total:
            score = "not measured" if epoch.score is None else f"{epoch.score:.4f}"
            self._show_line(f"{title}, loss {epoch.loss:.4f}, validation DSC {score}, {rest}", now)
        elif now - self._last_line_s >= _LINE_INTERVAL_S:
            self._show_line(f"{title}, {done / total:.0%} done, loss {epoch.loss:.4f}, {rest}", now)

    def _show_line(self, line: str, now: float) -> None:
        self._last_line_s = now
        self._show(f"Zeus: {line}")

    def _seconds_left(self, epoch: Epoch, fraction: float) -> float:
        """Upper bound from the pace so far and the time budget; the training may stop early.

        Args:
            epoch: the epoch so far.
            fraction: part of the epoch that is done, from 0 to 1.
        """
        epochs_done = epoch.number - 1 + fraction
        seconds = epoch.seconds / epochs_done * (self._config.epochs - epochs_done)
        budget_s = self._config.time_budget_s
        return seconds if budget_s is None else max(0.0, min(seconds, budget_s - epoch.seconds))

    def _write(self, state: dict[str, Any]) -> None:
        state["prepare_seconds"] = round(self._prepare_s, 1)
        write_text_atomically(self._path, json.dumps(state))


def read_progress(path: Path) -> dict[str, Any] | None:
    """Progress of the newest training; None before the first."""
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # missing, damaged or foreign
        return None
    return state if isinstance(state, dict) else None
