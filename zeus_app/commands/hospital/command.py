"""The command line of `zeus hospital`."""

from typing import Annotated

import typer


def hospital(
    port: Annotated[
        int,
        typer.Option(
            min=1, max=65533, help="TCP port of Zeus. The PACS and the current OHIF take the next."
        ),
    ] = 8000,
    studies: Annotated[int, typer.Option(min=1, help="How many phantoms the PACS gets.")] = 4,
) -> None:
    """Start a PACS (Orthanc) with phantoms, Zeus and OHIF on this machine, until Ctrl-C.

    Needs the Debian packages orthanc and orthanc-dicomweb, and npm for the current OHIF. All data
    lie in reports/hospital; remove this folder to start anew.
    """
    from zeus_app.commands.hospital.run import run_hospital

    raise typer.Exit(run_hospital(port=port, study_count=studies))
