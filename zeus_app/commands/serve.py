"""`zeus serve`: a MONAI Label server for a folder of studies."""

import os
from pathlib import Path
from typing import Annotated

import typer

from zeus_app.commands.options import (
    FusionName,
    ModelName,
    ProfileName,
    Settings,
    StateFolder,
    StudiesFolder,
    TargetName,
    checked_conf,
    split_settings,
)
from zeus_app.errors import InputError


def serve(
    studies: StudiesFolder,
    target: TargetName,
    profile: ProfileName = None,
    model: ModelName = None,
    fusion: FusionName = None,
    state: StateFolder = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. 0.0.0.0 listens on all addresses.")
    ] = "127.0.0.1",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let other machines use the server without a login.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 8000,
    settings: Settings = None,
) -> None:
    """Serve a folder of studies to 3D Slicer, OHIF and other MONAI Label clients."""
    from zeus_app.server.lifecycle.server_command import (
        check_port,
        check_studies_folder,
        server_command,
        server_environment,
    )
    from zeus_app.server.security.listening import refuse_open_listening
    from zeus_app.settings.config import ZeusConfig

    if not studies:
        raise InputError(
            "no studies folder was given",
            expected="a folder with MR studies",
            remedy="make serve STUDIES=<dir> TARGET=<name>",
        )
    folder = check_studies_folder(Path(studies))
    conf = checked_conf(
        target=target,
        profile=profile,
        model=model,
        fusion=fusion,
        state=state,
        **{**split_settings(settings or []), **({"insecure": "true"} if insecure else {})},
    )
    refuse_open_listening(host, insecure=ZeusConfig.from_conf(conf).insecure)
    check_port(host, port)
    command = server_command(folder, conf, host=host, port=port)
    typer.echo(
        f"zeus: serving {folder} on http://{host}:{port} (ready in 10 to 20 s; Ctrl-C stops it)"
    )
    # The server replaces this process, so that it receives signals directly.
    os.execve(command[0], command, server_environment())
