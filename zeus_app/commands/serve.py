"""`zeus serve`: a MONAI Label server for a folder of studies or a PACS."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from zeus_app.commands.options import (
    FusionName,
    ModelName,
    ProfileName,
    Settings,
    StateFolder,
    StudiesPlace,
    checked_conf,
    split_settings,
)
from zeus_app.errors import InputError

DEFAULT_PORT, LOOPBACK = 8000, "127.0.0.1"
NO_TARGET_EXIT_CODE = 2


def serve(
    studies: StudiesPlace = "",
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="Name of a shipped target, for example prostate, or path of a target's YAML file."
            " Without it, the targets are listed with what each finds in the folder.",
            show_default=False,
        ),
    ] = None,
    profile: ProfileName = None,
    model: ModelName = None,
    fusion: FusionName = None,
    state: StateFolder = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. 0.0.0.0 listens on all addresses.")
    ] = LOOPBACK,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let other machines use the server without a login.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = DEFAULT_PORT,
    settings: Settings = None,
) -> None:
    """Serve a folder of studies, or a PACS, to 3D Slicer, OHIF and other MONAI Label clients."""
    from zeus_app.server.lifecycle.server_command import (
        check_port,
        check_studies_folder,
        server_command,
        server_environment,
    )
    from zeus_app.server.security.listening import refuse_open_listening
    from zeus_app.settings.config import ZeusConfig
    from zeus_app.settings.pacs import is_pacs, pacs_access

    of_pacs = studies if is_pacs(studies) else ""
    folder = check_studies_folder(Path(studies)) if studies and not of_pacs else None
    if target is None:
        _explain(
            folder or of_pacs,
            {"profile": profile, "model": model, "fusion": fusion, "state": state},
            settings=settings or [],
            host=host,
            port=port,
            insecure=insecure,
        )
    if not studies:
        raise InputError(
            "no studies folder was given",
            expected="a folder with MR studies",
            remedy="make serve STUDIES=<dir> TARGET=<name>",
        )
    conf = checked_conf(
        target=target,
        profile=profile,
        model=model,
        fusion=fusion,
        state=state,
        **{**split_settings(settings or []), **({"insecure": "true"} if insecure else {})},
    )
    config = ZeusConfig.from_conf(conf)
    place = folder or pacs_access(of_pacs, config).url
    refuse_open_listening(host, insecure=config.insecure)
    check_port(host, port)
    command = server_command(place, conf, host=host, port=port)
    typer.echo(
        f"zeus: serving {place} on http://{host}:{port} (ready in 10 to 20 s; Ctrl-C stops it)"
    )
    # The server replaces this process, so that it receives signals directly.
    os.execve(command[0], command, server_environment())


def _explain(
    studies: Path | str,
    choices: Mapping[str, object],
    *,
    settings: list[str],
    host: str,
    port: int,
    insecure: bool,
) -> NoReturn:
    """List the targets, what each finds, and the command with the options that were given."""
    from zeus_app.commands.offers import explain_targets

    options = [(name, str(value)) for name, value in choices.items() if value is not None]
    options += [("set", setting) for setting in settings]
    options += [("port", str(port))] if port != DEFAULT_PORT else []
    options += [("host", host)] if host != LOOPBACK else []
    options += [("insecure", "")] if insecure else []
    explain_targets(studies, options, by_make="MAKELEVEL" in os.environ)
    reason = "no target was given" if studies else "neither a studies folder nor a target was given"
    typer.secho(f"zeus: {reason}", fg=typer.colors.RED, err=True)
    raise typer.Exit(NO_TARGET_EXIT_CODE)
