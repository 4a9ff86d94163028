"""`zeus export`: studies and labels in the layout of another program."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zeus_app.commands.options import StateFolder, StudiesFolder, TargetName, checked_conf
from zeus_app.commands.terminal import print_by_reason, progress_bars
from zeus_app.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zeus_app.export.nnunet import Exported
    from zeus_app.labels.versions import LabelHistory
    from zeus_app.targets import Target
    from zeus_app.types import StudyFiles


class Format(StrEnum):
    """The layouts that studies can be exported in."""

    NNUNET = "nnunet"


def export(
    studies: StudiesFolder,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Folder for the dataset; nnU-Net calls it nnUNet_raw."),
    ],
    target: TargetName,
    layout: Annotated[
        Format, typer.Option("--format", help="nnunet: a raw dataset of nnU-Net v2.")
    ] = Format.NNUNET,
    dataset_id: Annotated[
        int, typer.Option("--dataset-id", min=1, max=999, help="nnU-Net's number of the dataset.")
    ] = 501,
    labels: Annotated[
        str, typer.Option("--labels", metavar="TAG", help="Tag of the labels to export.")
    ] = "final",
    sequences: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated sequences that become channels, for example FLAIR,T1Gd.",
            show_default="all of the target",
        ),
    ] = None,
    state: StateFolder = None,
) -> None:
    """Write studies and their labels as a raw dataset of nnU-Net.

    Labelled studies become training cases, the others test cases. A study without one of the
    sequences is left out. Images are resampled to the reference's grid. It never mixes with files
    that are there.
    """
    from zeus_app.export.nnunet import dataset_folder, export_nnunet
    from zeus_app.labels.versions import LabelHistory
    from zeus_app.server.lifecycle.server_command import check_studies_folder
    from zeus_app.settings.config import ZeusConfig
    from zeus_app.storage.state import state_folder
    from zeus_app.studies.find import find_studies
    from zeus_app.targets import target_of

    folder = check_studies_folder(Path(studies))
    config = ZeusConfig.from_conf(checked_conf(target=target, state=state, sequences=sequences))
    chosen = target_of(config)
    _check_outside(out, folder)
    destination = dataset_folder(out, chosen, dataset_id)
    kept = state_folder(config, target=chosen.name, studies=folder)
    catalog = find_studies(folder, chosen, skip=(kept.root,))
    versions = _newest(LabelHistory(kept.labels), labels, catalog.studies)
    with progress_bars() as report:
        done = export_nnunet(catalog.studies, chosen, versions, destination, report=report)
    problems = {problem.id: problem.reason for problem in catalog.problems}
    print_by_reason("left out", ["study", "reason"], {**problems, **done.left_out})
    print_by_reason("resampled", ["study", "what"], done.notes)
    _print_result(done, catalog.studies, problems=len(problems))
    _print_hints(done, chosen, dataset_id)


def _check_outside(out: Path, studies: Path) -> None:
    if out.resolve().is_relative_to(studies.resolve()):
        raise InputError(
            f"{out}, which lies among the studies",
            expected="a folder outside of the studies folder, to which Zeus never writes",
            remedy="choose another one with -o",
        )


def _newest(history: "LabelHistory", tag: str, studies: "Iterable[str]") -> dict[str, Path]:
    """Study -> the file of its newest label.

    Raises:
        InputError: no study has a label of this tag.
    """
    versions = {name: history.newest(name, tag) for name in studies}
    found = {name: version.path for name, version in versions.items() if version}
    if not found:
        raise InputError(
            f"no study with a label tagged {tag!r}",
            expected=f"one of the tags {', '.join(history.tags())}"
            if history.tags()
            else "labels in the state folder",
            remedy="choose a tag with --labels, import masks with `zeus import-labels`, or name"
            " another --state",
        )
    return found


def _print_result(done: "Exported", studies: "Mapping[str, StudyFiles]", *, problems: int) -> None:
    patients = {studies[name].patient for name in done.labelled}
    typer.echo(
        f"{done.folder}: {len(done.labelled)} training cases of {len(patients)} patients,"
        f" {len(done.unlabelled)} test cases, {len(done.left_out) + problems} studies left out"
    )


def _print_hints(done: "Exported", target: "Target", dataset_id: int) -> None:
    """What nnU-Net's user must know: changed values, the next command, the folds."""
    from zeus_app.export.nnunet import consecutive_values

    for name, value in consecutive_values(target).items():
        if value != target.label_values[name]:
            typer.echo(f"label {name} is {value} there, {target.label_values[name]} in Zeus")
    typer.echo(f"next: nnUNetv2_plan_and_preprocess -d {dataset_id} --verify_dataset_integrity")
    if done.folds:
        typer.echo(
            f"then copy splits.json to nnUNet_preprocessed/{done.folder.name}/splits_final.json,"
            f" so that no patient is on both sides of one of the {done.folds} folds"
        )
