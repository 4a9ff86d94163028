"""The command line of `zeus real`."""

from typing import Annotated

import typer

from zeus_app.commands.terminal import stop_at_sigterm


def real(
    target: Annotated[
        str | None,
        typer.Option(help="Run one target only, for example abdomen.", show_default="all targets"),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(
            help="Run one fold of the target only, counted from 0.", show_default="all folds"
        ),
    ] = None,
) -> None:
    """Train and score Zeus and the U-Net on the real MRI in the folder ZEUS_REAL_DATA.

    Each patient is scored in one fold, by models that never saw this patient. Writes
    docs/results.md. An interrupted run continues where it stopped.
    """
    from zeus_app.commands.real.run import run_real

    stop_at_sigterm()
    raise typer.Exit(run_real(target, fold))
