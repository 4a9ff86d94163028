"""`zeus studies`: what Zeus reads in a folder of studies, before a server runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zeus_app.commands.options import StateFolder, StudiesFolder, TargetName, checked_conf
from zeus_app.commands.terminal import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeus_app.types import StudyFiles

Listing = dict[str, Any]  # as `studies_as_json` returns it


def studies(
    studies: StudiesFolder,
    target: TargetName,
    state: StateFolder = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the JSON of GET /zeus/studies instead of tables.")
    ] = False,
) -> None:
    """List what Zeus finds in a folder of studies: sequences, images not used, masks, problems.

    It reads names and headers, writes nothing and starts no server. Patients are numbered. A state
    folder among the studies is left out.
    """
    import json

    from zeus_app.labels.versions import FINAL, LabelHistory
    from zeus_app.server.lifecycle.server_command import check_studies_folder
    from zeus_app.settings.config import ZeusConfig
    from zeus_app.storage.state import state_folder
    from zeus_app.studies.find import find_studies
    from zeus_app.studies.listing import studies_as_json
    from zeus_app.targets import target_of

    folder = check_studies_folder(Path(studies))
    config = ZeusConfig.from_conf(checked_conf(target=target, state=state))
    chosen = target_of(config)
    kept = state_folder(config, target=chosen.name, studies=folder)
    found = find_studies(folder, chosen, skip=(kept.root,))
    history = LabelHistory(kept.labels)
    listing = studies_as_json(
        _with_numbered_patients(found.studies),
        found.problems,
        labelled={name for name in found.studies if history.newest(name, FINAL)},
    )
    if as_json:
        typer.echo(json.dumps(listing, indent=1))
    else:
        _print(listing, folder)


def _with_numbered_patients(studies: "Mapping[str, StudyFiles]") -> "dict[str, StudyFiles]":
    """The same studies; a patient's name, which may be a DICOM Patient ID, becomes a number."""
    from dataclasses import replace

    patients = dict.fromkeys(files.patient for files in studies.values())
    numbers = {patient: f"patient-{i}" for i, patient in enumerate(patients, start=1)}
    return {name: replace(files, patient=numbers[files.patient]) for name, files in studies.items()}


def _print(listing: Listing, folder: Path) -> None:
    studies: dict[str, Listing] = listing["studies"]
    rows = [
        [
            name,
            study["patient"],
            sequence,
            _shown(files, folder),
            study["evidence"].get(sequence, ""),
        ]
        for name, study in studies.items()
        for sequence, files in study["sequences"].items()
    ]
    unused = [
        [name, _shown(image["files"], folder), image["reason"]]
        for name, study in studies.items()
        for image in study["unused"]
    ]
    masks = [
        [name, _shown([path], folder)] for name, study in studies.items() for path in study["masks"]
    ]
    problems = [
        [problem["study"], _shown(problem["files"], folder), problem["reason"]]
        for problem in listing["problems"]
    ]
    for title, columns, lines in (
        ("sequences", ["study", "patient", "sequence", "file", "evidence"], rows),
        ("images that are not used", ["study", "file", "reason"], unused),
        ("files that may be masks (zeus import-labels)", ["study", "file"], masks),
        ("studies that cannot be used", ["study", "file", "reason"], problems),
    ):
        if lines:
            print_table(title, columns, lines)
    patients = {study["patient"] for study in studies.values()}
    typer.echo(
        f"{folder}: {len(studies)} studies of {len(patients)} patients, {len(unused)} images not"
        f" used, {len(masks)} files that may be masks, {len(problems)} problems"
    )


def _shown(files: list[str], folder: Path) -> str:
    """The first file, below the studies folder, and the number of files if there are more."""
    if not files:
        return ""
    path = Path(files[0])
    shown = str(path.relative_to(folder)) if path.is_relative_to(folder) else files[0]
    return shown if len(files) == 1 else f"{shown} and {len(files) - 1} more"
