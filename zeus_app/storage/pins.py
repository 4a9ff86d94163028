"""Pins: cache keys that running processes need and that eviction must skip.

The pins are two tables, ZeusHold and ZeusHeld, inside diskcache's SQLite index. Eviction is one SQL
query there, so the pins must be in the same file. A test compares the tables that the queries rely
on with those of the installed diskcache.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import diskcache
import psutil

from zeus_app.storage.running import is_running

_BUSY_S = 60  # how long a writer waits for another, as in diskcache

EVICTION_POLICY = "least-recently-used-unless-held"
"""diskcache's "least-recently-used" without pinned keys. Each cache folder stores this name."""

diskcache.EVICTION_POLICY[EVICTION_POLICY] = {
    "init": "CREATE INDEX IF NOT EXISTS Cache_access_time ON Cache (access_time)",
    "get": "access_time = {now}",
    "cull": "SELECT {fields} FROM Cache WHERE key NOT IN (SELECT key FROM ZeusHeld)"
    " ORDER BY access_time LIMIT ?",
}
_TABLES = (
    "CREATE TABLE IF NOT EXISTS ZeusHold (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " pid INTEGER, started REAL)",
    "CREATE TABLE IF NOT EXISTS ZeusHeld (key TEXT, hold INTEGER)",
    "CREATE INDEX IF NOT EXISTS ZeusHeld_key ON ZeusHeld (key)",
)


@dataclass(frozen=True)
class ProcessPins:
    """How many different cache entries one process has pinned."""

    pid: int
    entries: int


class Pins:
    """The pins of one cache folder. Every method may raise OSError or sqlite3.Error."""

    def __init__(self, folder: Path) -> None:
        """Create the tables if they are missing.

        Args:
            folder: of a cache that diskcache has opened before.
        """
        self._index = folder / diskcache.core.DBNAME
        with self.transaction() as sql:
            for statement in _TABLES:
                sql.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction on diskcache's index."""
        uri = f"{self._index.resolve().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def add(self, keys: Sequence[str]) -> int:
        """Pin keys for this process, whether their entries exist yet or not.

        Returns:
            The id for `remove`.
        """
        process = psutil.Process()
        with self.transaction() as sql:
            cursor = sql.execute(
                "INSERT INTO ZeusHold (pid, started) VALUES (?, ?)",
                (process.pid, process.create_time()),
            )
            pin = int(cursor.lastrowid or 0)
            sql.executemany("INSERT INTO ZeusHeld VALUES (?, ?)", ((key, pin) for key in keys))
        return pin

    def remove(self, pins: Sequence[int]) -> None:
        """Remove pins by the ids that `add` returned."""
        with self.transaction() as sql:
            for pin in pins:
                sql.execute("DELETE FROM ZeusHeld WHERE hold = ?", (pin,))
                sql.execute("DELETE FROM ZeusHold WHERE id = ?", (pin,))

    def remove_dead(self) -> None:
        """Remove the pins of processes that no longer run, for example after a kill."""
        with self.transaction() as sql:
            rows = sql.execute("SELECT id, pid, started FROM ZeusHold").fetchall()
        dead = [pin for pin, pid, started in rows if not is_running(pid, started)]
        if dead:
            self.remove(dead)

    def by_process(self) -> tuple[ProcessPins, ...]:
        """The pins of each running process, by process id."""
        self.remove_dead()
        with self.transaction() as sql:
            rows = sql.execute(
                "SELECT pid, COUNT(DISTINCT key) FROM ZeusHold"
                " JOIN ZeusHeld ON hold = id GROUP BY pid ORDER BY pid"
            ).fetchall()
        return tuple(ProcessPins(*row) for row in rows)
