"""`zeus doctor`: the options."""

from pathlib import Path
from typing import Annotated

import typer

from zeus_app.commands.doctor.places import LOOPBACK

HAS_PROBLEMS_EXIT_CODE = 1


def doctor(
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            help="The state folder, for a server with --state.",
            show_default="the folders in ~/.local/share/zeus",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help=f"TCP port of the server, on {LOOPBACK}.")
    ] = 8000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check the installation: system, packages, weights, encoder runtime, disk, port.

    For each problem it says what to do. It needs no network and writes nothing. The output names no
    study, patient, user or host, so it may be pasted into an issue. The exit code is 1 if there are
    problems. Where packages are missing, run .venv/bin/python -m zeus_app.commands.doctor.
    """
    from zeus_app.commands.doctor.report import as_json as json_of
    from zeus_app.commands.doctor.report import as_text, examine, problems_of

    typer.echo("zeus doctor imports every package; this takes 10 to 40 s", err=True)
    sections = examine(state=state, port=port)
    typer.echo(json_of(sections) if as_json else as_text(sections))
    if problems_of(sections):
        raise typer.Exit(HAS_PROBLEMS_EXIT_CODE)
