"""The command line of `zeus demo`."""

import typer

from zeus_app.commands.terminal import stop_at_sigterm


def demo() -> None:
    """Segment phantoms, train on their labels, segment again; writes reports/demo/index.html.

    The demo starts a server and drives it over HTTP. It takes 7 to 30 minutes on two cores.
    """
    from zeus_app.commands.demo.run import run_demo

    stop_at_sigterm()
    raise typer.Exit(run_demo())
