"""`zeus train`: a training without a server."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zeus_app.commands.options import (
    FusionName,
    ModelName,
    ProfileName,
    Settings,
    StateFolder,
    TargetName,
    split_settings,
)
from zeus_app.commands.terminal import progress_bars
from zeus_app.commands.threads import wait_passively

if TYPE_CHECKING:
    from zeus_app.api.model import ZeusModel
    from zeus_app.labels.import_labels import ImportLine
    from zeus_app.progress import Report
    from zeus_app.training.loop import Epoch, Progress, TrainResult

TRAINING_S = "training, seconds"
EPOCHS = "training, epochs"


def train(
    studies: Annotated[Path, typer.Argument(help="Folder of studies. Nothing is written to it.")],
    target: TargetName,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Folder of masks that are named after the studies: p1.nii.gz, p1/seg.nii.gz. They"
            " are imported as by zeus import-labels.",
            show_default="the labels of the state folder alone",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(help="Glob for the masks' file names, where a study has several masks."),
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(help="Data set whose values the masks have, for example brats2023."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Longest duration, without preparation.",
            show_default="as the recipe says: 300",
        ),
    ] = None,
    recipe: Annotated[str, typer.Option(help="default, or paper: the paper's values.")] = "default",
    start: Annotated[
        str, typer.Option(help="scratch, or served: continue from the served weights.")
    ] = "scratch",
    state: StateFolder = None,
    profile: ProfileName = None,
    model: ModelName = None,
    fusion: FusionName = None,
    settings: Settings = None,
) -> None:
    """Train on labelled studies without a server. Servers of the same state folder then use it.

    The last line names the new version, and the command to segment with it.
    """
    wait_passively()
    from zeus_app.api.loading import load
    from zeus_app.labels.import_labels import summary

    given = {"profile": profile, "model": model, "fusion": fusion}
    conf = {**split_settings(settings or []), **{k: v for k, v in given.items() if v is not None}}
    chosen = load(target, studies=studies, state=state, **conf)
    how: dict[str, Any] = {"recipe": recipe, "start": start}
    if seconds is not None:
        how["time_budget_s"] = seconds
    imported: list[ImportLine] = []

    def told(line: "ImportLine") -> None:
        imported.append(line)
        typer.echo(str(line))

    with progress_bars() as report:
        result = chosen.train(
            studies, labels, pattern=pattern, convention=convention, told=told,
            report=report, progress=_as_bar(report, _budget_s(chosen, how)), **how,
        )  # fmt: skip
    if imported:
        typer.echo(summary(imported))
    typer.echo(_told(result, studies, target, state, conf))


def _budget_s(model: "ZeusModel", how: dict[str, Any]) -> float | None:
    """The longest duration of the training in seconds; None if epochs alone bound it."""
    from zeus_app.pipeline.plugins import learner_of
    from zeus_app.settings.recipes import with_recipe

    return with_recipe(how, learner_of(model.config)).time_budget_s


def _as_bar(report: "Report", budget_s: float | None) -> "Progress":
    """Epochs as a progress bar: of the seconds, or of the pieces of an epoch without a budget."""

    def progress(epoch: "Epoch", done: int, total: int) -> None:
        if budget_s is None:
            report(f"{EPOCHS}: {epoch.number}", done, total)
        else:
            report(TRAINING_S, min(round(epoch.seconds), round(budget_s)), round(budget_s))

    return progress


def _told(
    result: "TrainResult", studies: Path, target: str, state: Path | None, conf: dict[str, str]
) -> str:
    info = result.checkpoint
    score = "not validated" if info.score is None else f"validation DSC {info.score:.3f}"
    options = ["--target", target, *(["--state", str(state)] if state else [])]
    options += [word for key, value in conf.items() for word in ("--set", f"{key}={value}")]
    learnt = f"{len(info.studies)} {'study' if len(info.studies) == 1 else 'studies'}"
    command = ["zeus", "segment", str(studies), *options, "-o", "zeus-masks"]
    return (
        f"{info.version}: trained {info.seconds:.0f} s on {learnt}, {score};"
        f" segment with: {shlex.join(command)}"
    )
