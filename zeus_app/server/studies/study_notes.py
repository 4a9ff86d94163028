"""What clients and strategies stored about a study: one JSON file each, outside the studies."""

import time
from pathlib import Path
from typing import Any

from zeus_app.storage.file_lock import file_lock
from zeus_app.storage.notes import check_note, read_note, write_note
from zeus_app.storage.state import folder_name

Info = dict[str, Any]


class StudyNotes:
    """The notes on studies.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, study: str, info: Info) -> None:
        """Add to a client's notes on a study. Raises InputError if they are too large."""
        with file_lock(self._folder / ".lock"):
            notes = {**read_note(self._path(study)), **info}
            check_note(notes)
            write_note(self._path(study), notes)

    def record_sample(self, study: str, strategy: str, client: str | None) -> None:
        """Store when a strategy chose a study, apart from the notes of clients."""
        with file_lock(self._folder / ".lock"):
            history = self.strategy_history(study)
            history[strategy] = {"ts": int(time.time()), "client_id": client}
            write_note(self._strategies(study), history)

    def strategy_history(self, study: str) -> dict[str, Info]:
        """Strategy -> {"ts": seconds since 1970, "client_id"} of its newest choice of a study."""
        return read_note(self._strategies(study))

    def stored(self, study: str) -> Info:
        """Both, as MONAI Label's datastore shows them."""
        return {
            "strategy": self.strategy_history(study),
            "info": read_note(self._path(study)),
        }

    def _path(self, study: str) -> Path:
        return self._folder / f"{folder_name(study)}.json"

    def _strategies(self, study: str) -> Path:
        return self._folder / "strategies" / f"{folder_name(study)}.json"
