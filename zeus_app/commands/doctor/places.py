"""The sections "state" and "port": where Zeus writes, how much room is left, what is free."""

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from zeus_app.commands.doctor.sections import Section

GIB = 2**30
LEAST_FREE_GIB = 2.0
LOOPBACK = "127.0.0.1"


def default_base() -> Path:
    """The folder in which each studies folder has its state folder."""
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "zeus"


def fill_state(section: Section, state: Path | None) -> None:
    """Whether the state can be written, its cache, and the free disk.

    Args:
        section: to fill.
        state: the state folder of a server with --state; None for the default ones.
    """
    folder = state or default_base()
    section.facts["folder"] = "the one after --state" if state else str(folder)
    folders = [state] if state else _listed(folder)
    section.facts["state folders"] = str(len([each for each in folders if each.is_dir()]))
    section.fact("cache", lambda: f"{cache_gib(folders):.2f} GiB")
    existing = nearest_existing(folder)
    if not os.access(existing, os.W_OK | os.X_OK):
        section.problem(
            "the folder for labels, checkpoints and caches cannot be written",
            "choose a folder of yours: `zeus serve ... --state DIR`, or make it writable",
        )
    places = {
        "state": existing,
        "environment": Path(sys.prefix),
        "temporary files": Path(tempfile.gettempdir()),
    }
    for name, place in places.items():
        _add_disk(section, name, place)


def _listed(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def cache_gib(folders: list[Path]) -> float:
    """The size of the caches of state folders, in GiB."""
    sizes = (
        path.lstat().st_size
        for folder in folders
        for path in (folder / "cache").rglob("*")
        if path.is_file()
    )
    return sum(sizes) / GIB


def nearest_existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _add_disk(section: Section, name: str, place: Path) -> None:
    free = shutil.disk_usage(place).free / GIB
    section.facts[f"free disk, {name}"] = f"{free:.1f} GiB"
    if free < LEAST_FREE_GIB:
        section.problem(
            f"{free:.1f} GiB of disk are free for {name}",
            "free some space: `zeus cache clear` empties a cache, and `pip cache purge` pip's own",
        )


def fill_port(section: Section, port: int) -> None:
    """Whether a server can listen on a port of this machine alone. Nothing is sent."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
        except OSError as error:
            section.facts[f"{port} on loopback"] = f"not free: {error.strerror}"
            section.problem(
                f"port {port} is taken, perhaps by a running Zeus",
                f"stop the program that listens there, or choose another port: PORT={port + 1}",
            )
            return
    section.facts[f"{port} on loopback"] = "free"
