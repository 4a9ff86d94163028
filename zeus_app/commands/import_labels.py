"""`zeus import-labels`: use masks among the studies as labels."""

from pathlib import Path
from typing import Annotated

import typer

from zeus_app.commands.options import StateFolder, StudiesFolder, TargetName, checked_conf


def import_labels(
    studies: StudiesFolder,
    target: TargetName,
    state: StateFolder = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Glob pattern for the mask's file name, for example '*_reader1*'. Needed where a"
            " study has several masks."
        ),
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(
            help="Data set whose values the masks have, for example brats2023. Needed where the"
            " target names several."
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Import also over labels that were corrected meanwhile."),
    ] = False,
) -> None:
    """Import masks that lie among the studies as labels. Zeus never imports them by itself.

    Tells the mask of each study, the masks that are not taken, and the numbers of all at the end. A
    label that was corrected after its import is not replaced, unless --replace is given.
    """
    from zeus_app.labels.import_labels import import_into_store, summary
    from zeus_app.server.lifecycle.server_command import check_studies_folder
    from zeus_app.settings.config import ZeusConfig
    from zeus_app.storage.state import state_folder
    from zeus_app.targets import target_of
    from zeus_app.upgrade.older_state import upgrade_once

    folder = check_studies_folder(Path(studies))
    config = ZeusConfig.from_conf(checked_conf(target=target, state=state))
    chosen = target_of(config)
    kept = state_folder(config, target=chosen.name, studies=folder)
    upgrade_once(kept, folder, chosen)
    imported = import_into_store(
        folder, config, pattern=pattern, convention=convention, replace=replace
    )
    lines = []
    for line in imported:
        typer.echo(str(line))
        lines.append(line)
    typer.echo(summary(lines))
