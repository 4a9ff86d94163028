"""The command line of `zeus hospital`."""

from pathlib import Path
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
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the PACS, the labels and the logs. Remove it to start anew.",
            show_default="reports/hospital",
        ),
    ] = None,
) -> None:
    """Start a PACS (Orthanc) with phantoms, Zeus and OHIF on this machine, until Ctrl-C.

    Needs the Debian packages orthanc and orthanc-dicomweb, and npm for the current OHIF.
    """
    from zeus_app.commands.hospital.run import HospitalPaths, run_hospital

    paths = HospitalPaths(out=out.resolve()) if out else HospitalPaths()
    raise typer.Exit(run_hospital(port=port, study_count=studies, paths=paths))
