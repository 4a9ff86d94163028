"""`zeus cache info` and `zeus cache clear`: the cache of embeddings and instructions."""

from pathlib import Path
from typing import Annotated

import typer

from zeus_app.errors import InputError

cache_app = typer.Typer(
    help="Show or empty the cache of embeddings and instructions. Zeus computes missing ones again."
)

StudiesFolder = Annotated[
    Path | None,
    typer.Argument(help="The served studies folder, for a server without --state."),
]
StateFolder = Annotated[
    Path | None,
    typer.Option("--state", help="The state folder, for a server with --state."),
]


@cache_app.command("info")
def cache_info(studies: StudiesFolder = None, state: StateFolder = None) -> None:
    """Show the cache's folder, number of entries, size in GiB, and processes that pin entries."""
    from zeus_app.storage.cache import Cache
    from zeus_app.types import GIB

    folder = _cache_folder(studies, state)
    if not _has_cache(folder):
        return
    info = Cache(folder).info()
    typer.echo(f"{folder}: {info.entries} entries")
    typer.echo(f"{info.bytes / GIB:.3f} GiB of at most {info.limit_bytes / GIB:g} GiB")
    for pins in info.pins:
        typer.echo(f"process {pins.pid} pins {pins.entries} entries")


@cache_app.command("clear")
def clear_cache(
    studies: StudiesFolder = None,
    state: StateFolder = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Empty it even while a training needs its entries."),
    ] = False,
) -> None:
    """Empty the cache. Labels and checkpoints stay; a running server encodes studies again."""
    from zeus_app.storage.cache import Cache
    from zeus_app.types import GIB

    folder = _cache_folder(studies, state)
    if not _has_cache(folder):
        return
    cache = Cache(folder)
    pins = cache.info().pins
    if pins and not force:
        raise InputError(
            f"process {', '.join(str(process.pid) for process in pins)} is training from {folder}",
            expected="no running training, because it stops when its embeddings are gone",
            remedy="wait until the training ends, or stop it, or add --force",
        )
    typer.echo(f"{folder}: {cache.clear() / GIB:.3f} GiB freed")


def _cache_folder(studies: Path | None, state: Path | None) -> Path:
    """The cache of a server. All targets with the same state folder share it.

    Raises:
        InputError: neither folder was given.
    """
    from zeus_app.settings.config import default_state_folder

    if state is None and studies is None:
        raise InputError(
            "neither a studies folder nor a state folder was given",
            expected="the studies folder or the state folder of the server",
            remedy="for example zeus cache info /data/mri, or --state DIR",
        )
    return (state or default_state_folder(studies or Path())) / "cache"


def _has_cache(folder: Path) -> bool:
    """Whether there is a cache; says so if not. Opening a missing cache would create it."""
    exists = (folder / "cache.db").is_file()
    if not exists:
        typer.echo(f"{folder}: no cache here")
    return exists
