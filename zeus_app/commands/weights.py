"""`zeus weights list`, `get` and `verify`: the files of the frozen towers."""

import sys
from typing import Annotated

import typer

from zeus_app.commands.terminal import print_table, progress_bars

weights_app = typer.Typer(help="List, fetch and verify the weights of the frozen towers.")


@weights_app.command("list")
def list_weights() -> None:
    """List all weights: role, source, size, licence, and whether they are in the folder.

    "hash pinned": checked against the SHA-256 that a public source states. "hash recorded": checked
    against the SHA-256 that was recorded when the file was first fetched or first found.
    """
    from zeus_app.weights import WEIGHTS, state_of, weights_folder

    rows = [
        [
            weight.name,
            weight.role,
            str(weight.source),
            weight.size_text,
            str(weight.licence),
            state_of(weight.name),
        ]
        for weight in sorted(WEIGHTS.values(), key=lambda weight: not weight.default)
    ]
    columns = ["name", "role", "source", "size", "licence", "state"]
    print_table(str(weights_folder()), columns, rows)


@weights_app.command("get")
def get_weights(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of weights, or of profiles for all of their weights.",
            show_default="the weights of reference-small",
        ),
    ] = None,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence",
            help="Accept the licences of the named weights, where a licence must be accepted.",
        ),
    ] = False,
) -> None:
    """Fetch weights that are missing or damaged, and check their SHA-256."""
    from zeus_app.weights import WEIGHTS, Manual, get

    default = [weight.name for weight in WEIGHTS.values() if weight.default]
    weights = _weights_named(names) if names else default
    accepted = {name: _accepts_licence(name, accept_licence) for name in weights}
    # Weights that a person must fetch by hand raise an error, so they come last.
    weights.sort(key=lambda name: isinstance(WEIGHTS[name].source, Manual))
    with progress_bars() as report:
        paths = [get(name, report, accept_licence=accepted[name]) for name in weights]
    for path in paths:
        typer.echo(path)


def _weights_named(names: list[str]) -> list[str]:
    """The weights with these names, and the weights of profiles with these names, each once."""
    from zeus_app.profiles import weights_named

    return list(dict.fromkeys(weight for name in names for weight in weights_named(name)))


def _accepts_licence(name: str, accept_licence: bool) -> bool:
    """Show a licence that must be accepted. On a terminal, ask for it."""
    from zeus_app.weights import licence_to_accept

    licence = licence_to_accept(name)
    if licence is None:
        return True
    typer.echo(f"{name}: {licence}. {licence.summary}", err=True)
    return accept_licence or (is_terminal() and typer.confirm("Do you accept?", err=True))


def is_terminal() -> bool:
    """Whether a person can answer questions on stdin."""
    return sys.stdin.isatty()


@weights_app.command("verify")
def verify_weights(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of weights, or of profiles for all of their weights.",
            show_default="all weights in the folder",
        ),
    ] = None,
) -> None:
    """Check the SHA-256 of weights in full; stops at the first that is missing or damaged."""
    from zeus_app.weights import WEIGHTS, is_here, verify, weights_folder

    weights = _weights_named(names) if names else [name for name in WEIGHTS if is_here(name)]
    if not weights:
        typer.echo(f"{weights_folder()}: no weights here")
    for name in weights:
        typer.echo(f"{name}: hash right, {verify(name)}")
