"""The commands `zeus cache info` and `zeus cache clear`."""

from pathlib import Path
from typing import Annotated

import typer

from zeus_app.errors import InputError

GIB = 1 << 30

cache_app = typer.Typer(help="Kept embeddings and texts; whatever is missing is made again.")

Studies = Annotated[
    Path | None, typer.Argument(help="the folder that is served, which names the default state")
]
State = Annotated[Path | None, typer.Option(help="the state folder, where it was chosen")]


def _folder(studies: Path | None, state: Path | None) -> Path:
    """The cache of a server; all targets that share a state folder share it."""
    from zeus_app.settings.config import default_state_folder

    if state is None and studies is None:
        raise InputError(
            "neither a studies folder nor a state folder was given",
            expected="what `zeus serve` was given",
            remedy="for example zeus cache info /data/mri, or --state DIR",
        )
    return (state or default_state_folder(studies or Path())) / "cache"


def _is_there(folder: Path) -> bool:
    """Whether a cache lies there; opening one that does not would make it."""
    found = (folder / "cache.db").is_file()
    if not found:
        typer.echo(f"{folder}: nothing there")
    return found


@cache_app.command("info")
def cache_info(studies: Studies = None, state: State = None) -> None:
    """Say where the cache lies, how much it holds, and what running trainings need of it."""
    from zeus_app.storage.cache import Cache

    folder = _folder(studies, state)
    if not _is_there(folder):
        return
    info = Cache(folder).info()
    typer.echo(f"{folder}: {info.entries} entries")
    typer.echo(f"{info.bytes / GIB:.3f} GiB of at most {info.limit_bytes / GIB:g} GiB")
    for pins in info.pins:
        typer.echo(f"process {pins.pid} holds {pins.entries} entries")


@cache_app.command("clear")
def clear_cache(
    studies: Studies = None,
    state: State = None,
    force: Annotated[
        bool, typer.Option("--force", help="even while a training needs what is kept")
    ] = False,
) -> None:
    """Empty the cache; labels and checkpoints stay. A running server goes on and encodes again."""
    from zeus_app.storage.cache import Cache

    folder = _folder(studies, state)
    if not _is_there(folder):
        return
    cache = Cache(folder)
    pins = cache.info().pins
    if pins and not force:
        raise InputError(
            f"process {', '.join(str(process.pid) for process in pins)} is training from {folder}",
            expected="no running training: it would stop for want of its embeddings",
            remedy="wait for its end, or stop it, or add --force",
        )
    typer.echo(f"{folder}: {cache.clear() / GIB:.3f} GiB freed")
