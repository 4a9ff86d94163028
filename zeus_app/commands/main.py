"""The command `zeus`: serve, weights, import-labels, describe, cache, runtime, demo, real.

What a command needs is imported when it runs: PyTorch takes seconds, `zeus --help` must not.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from zeus_app.commands.cache import cache_app
from zeus_app.errors import CancelledError, InputError
from zeus_app.progress import Report, bars

INPUT_ERROR = 2
CANCELLED = 130


class _Commands(TyperGroup):
    """Turns bad input into a message and an exit code; a traceback is for our own mistakes."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            typer.secho(f"zeus: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(INPUT_ERROR) from error
        except (CancelledError, KeyboardInterrupt) as error:
            typer.secho("zeus: stopped", err=True)
            raise typer.Exit(CANCELLED) from error


app = typer.Typer(
    cls=_Commands,
    help="Segments multi-sequence MRI by text instructions. Machine-made, not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
weights_app = typer.Typer(help="The frozen towers' weights: where they come from, whether whole.")
app.add_typer(weights_app, name="weights", no_args_is_help=True)
app.add_typer(cache_app, name="cache", no_args_is_help=True)

Studies = Annotated[str, typer.Argument(help="folder of studies; it is only read")]
TargetName = Annotated[str, typer.Option("--target", help="a shipped target's name, or a YAML")]
Profile = Annotated[str | None, typer.Option(help="set of frozen towers")]
Model = Annotated[str | None, typer.Option(help="zeus, or a baseline")]
Fusion = Annotated[str | None, typer.Option(help="hybrid, late or early")]
State = Annotated[Path | None, typer.Option(help="folder for labels, checkpoints, caches")]


def _settings(**given: object) -> dict[str, str]:
    """The settings that were given, as the server's --conf carries them; checked."""
    from zeus_app.settings.config import ZeusConfig
    from zeus_app.targets import load_target

    conf = {key: str(value) for key, value in given.items() if value is not None}
    load_target(ZeusConfig.from_conf(conf).target)
    return conf


def _pairs(settings: list[str]) -> dict[str, str]:
    for setting in settings:
        if "=" not in setting:
            raise InputError(
                f"setting {setting!r}", expected="KEY=VALUE", remedy="for example --set union=mean"
            )
    return dict(setting.split("=", 1) for setting in settings)


@contextmanager
def _bars() -> Iterator[Report]:
    """A Report that draws one bar a stage on the terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        yield bars(progress)


def _print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(*(Column(name, overflow="fold") for name in columns), title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@app.command()
def serve(
    studies: Studies,
    target: TargetName,
    profile: Profile = None,
    model: Model = None,
    fusion: Fusion = None,
    state: State = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port")] = 8000,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE, any other setting; may repeat")
    ] = None,
) -> None:
    """Serve a folder of studies to 3D Slicer, OHIF and other MONAI Label clients."""
    from zeus_app.server.lifecycle import server_command as launch

    if not studies:
        raise InputError(
            "no studies folder was given",
            expected="a folder with MR studies",
            remedy="make serve STUDIES=<dir> TARGET=<name>",
        )
    folder = launch.check_studies_folder(Path(studies))
    conf = _settings(
        target=target,
        profile=profile,
        model=model,
        fusion=fusion,
        state=state,
        **_pairs(settings or []),
    )
    launch.check_port(host, port)
    command = launch.server_command(folder, conf, host=host, port=port)
    typer.echo(f"zeus: serving {folder} on http://{host}:{port} (ready in 10 to 20 s; Ctrl-C ends)")
    # The server takes this process's place, so that signals reach it and nothing.
    os.execve(command[0], command, launch.server_environment())


def _end_on_sigterm() -> None:
    """A SIGTERM ends this process as Ctrl-C does: with the server that it started, not without."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@app.command("import-labels")
def import_labels(
    studies: Studies,
    target: TargetName,
    state: State = None,
    pattern: Annotated[str | None, typer.Option(help="glob that picks among masks")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="import even where a label was corrected since")
    ] = False,
) -> None:
    """Take masks that lie among the studies as labels; Zeus never does so unasked.

    A label that was corrected after its import is kept.
    """
    from zeus_app.labels.import_labels import import_into_store
    from zeus_app.server.lifecycle.server_command import check_studies_folder
    from zeus_app.settings.config import ZeusConfig

    folder = check_studies_folder(Path(studies))
    config = ZeusConfig.from_conf(_settings(target=target, state=state))
    for study_id, source in import_into_store(folder, config, pattern=pattern, replace=replace):
        typer.echo(f"{study_id}: {source}")


@app.command()
def describe(
    target: TargetName = "phantom",
    profile: Profile = None,
    model: Model = None,
    fusion: Fusion = None,
    sequences: Annotated[str | None, typer.Option(help="the target's to look at: T1,T2")] = None,
    instruction: Annotated[str | None, typer.Option(help="text, embedding or both")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, not a table")] = False,
) -> None:
    """List a model's modules: which are trained, how many parameters; it needs no weights."""
    import json
    from dataclasses import asdict

    from zeus_app.describe import describe as modules_of
    from zeus_app.profiles import load_profile
    from zeus_app.settings.config import ZeusConfig
    from zeus_app.targets import target_of

    given = {"target": target, "profile": profile, "model": model, "fusion": fusion}
    config = ZeusConfig.from_conf(_settings(**given, sequences=sequences, instruction=instruction))
    modules = modules_of(config, load_profile(config.profile), target_of(config))
    if as_json:
        typer.echo(json.dumps([asdict(module) for module in modules], indent=2))
        return
    rows = [
        [
            module.symbol,
            module.name,
            module.class_name,
            "yes" if module.trainable else "frozen",
            f"{module.parameters:,}",
            f"{module.memory_bytes / 2**20:,.1f}",
        ]
        for module in modules
    ]
    columns = ["symbol", "module", "class", "trained", "parameters", "MiB"]
    _print_table(f"profile {config.profile}, {config.fusion} fusion", columns, rows)
    never_run = [module.name for module in modules if module.run_before is False]
    if never_run:
        typer.echo(f"Never run with published weights, only tested: {', '.join(never_run)}")
    trained = sum(module.parameters for module in modules if module.trainable)
    typer.echo(f"{trained / 1e6:.2f} M parameters are trained ({trained:,})")


@weights_app.command("list")
def list_weights() -> None:
    """List the weights: what for, source, size, licence, and whether they are there.

    "hash pinned": compared with the SHA-256 that a public source states. "hash recorded": with the
    one recorded when it was first fetched or first seen.
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
    _print_table(str(weights_folder()), columns, rows)


@weights_app.command("get")
def get_weights(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="which, or a profile for all its; reference-small when none is named"),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="yes to licences that need a yes")
    ] = False,
) -> None:
    """Fetch weights that are missing or damaged, and check their hashes."""
    from zeus_app.weights import WEIGHTS, Manual, get

    default = [weight.name for weight in WEIGHTS.values() if weight.default]
    wanted = _weights_named(names) if names else default
    agreed = {name: _agrees(name, accept_licence) for name in wanted}
    # What a person has to fetch is refused, once the rest has come.
    wanted.sort(key=lambda name: isinstance(WEIGHTS[name].source, Manual))
    with _bars() as report:
        paths = [get(name, report, accept_licence=agreed[name]) for name in wanted]
    for path in paths:
        typer.echo(path)


def _weights_named(names: list[str]) -> list[str]:
    """The weights of this name, and those of the profiles of this name, each once."""
    from zeus_app.profiles import weights_named

    return list(dict.fromkeys(weight for name in names for weight in weights_named(name)))


def _agrees(name: str, accepted: bool) -> bool:
    """Show the licence when there is one to accept; on a terminal, ask."""
    from zeus_app.weights import licence_to_accept

    licence = licence_to_accept(name)
    if licence is None:
        return True
    typer.echo(f"{name}: {licence}. {licence.summary}", err=True)
    return accepted or (_is_terminal() and typer.confirm("Do you accept?", err=True))


def _is_terminal() -> bool:
    return sys.stdin.isatty()


@weights_app.command("verify")
def verify_weights(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="which, or a profile for all its; those here when none is named"),
    ] = None,
) -> None:
    """Hash weights in full and compare; the first that is missing or not whole is named."""
    from zeus_app.weights import WEIGHTS, is_here, verify, weights_folder

    wanted = _weights_named(names) if names else [name for name in WEIGHTS if is_here(name)]
    if not wanted:
        typer.echo(f"{weights_folder()}: no weights here")
    for name in wanted:
        typer.echo(f"{name}: hash right, {verify(name)}")


@app.command()
def runtime(profile: Profile = None) -> None:
    """Measure what encodes pictures fastest on this CPU, and remember it; a minute, once."""
    import logging

    from zeus_app.build import image_encoder
    from zeus_app.devices import choose_device
    from zeus_app.profiles import load_profile
    from zeus_app.settings.config import ZeusConfig

    logging.basicConfig(level=logging.INFO, format="%(message)s")  # each step is told as a log
    config = ZeusConfig.from_conf(_settings(profile=profile))
    encoder = image_encoder(config, load_profile(config.profile), choose_device("cpu"))
    typer.echo(encoder.id)


@app.command()
def demo() -> None:
    """Serve sample studies and drive the server: segment, learn, segment better; write a report."""
    from zeus_app.commands.demo import run_demo

    _end_on_sigterm()
    raise typer.Exit(run_demo())


@app.command()
def real(
    target: Annotated[str | None, typer.Option(help="one target; all when none is named")] = None,
) -> None:
    """Run the same loop on the real MRI in the folder that ZEUS_REAL_DATA names."""
    from zeus_app.commands.real import run_real

    _end_on_sigterm()
    raise typer.Exit(run_real(target))


if __name__ == "__main__":
    app()
