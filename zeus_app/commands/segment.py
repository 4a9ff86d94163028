"""`zeus segment`: masks of a study, or of a folder of studies, without a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from zeus_app.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeus_app.api.batch import Outcome
    from zeus_app.api.model import ZeusModel

SOME_FAILED_EXIT_CODE = 1
EXAMPLES = 3
"""Studies of which an example click is drawn where no model is trained."""


def segment(
    studies: Annotated[
        Path,
        typer.Argument(help="An image file, the folder of a study, or a folder of studies."),
    ],
    target: TargetName,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for masks, JSON files and previews.")
    ],
    checkpoint: Annotated[
        str,
        typer.Option(
            help="Version of the weights, for example v0003, or path of its file v0003.pt.",
            show_default="the served version",
        ),
    ] = "",
    output_format: Annotated[
        str, typer.Option("--format", help="nifti, nrrd, or an ending such as .seg.nrrd.")
    ] = "nifti",
    sequence: Annotated[
        str,
        typer.Option(
            help="Sequence whose grid the masks lie on. Of one file: what it shows.",
            show_default="each study's reference",
        ),
    ] = "",
    sequences: Annotated[
        str, typer.Option(help="Sequences to use, separated by commas.", show_default="all")
    ] = "",
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=TEXT",
            help="Your own instruction, for example --text 'FLAIR/tumour=bright, left'. The key is"
            " a sequence, a label, or both. May be given several times.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Segment also what is done already.")
    ] = False,
    state: StateFolder = None,
    profile: ProfileName = None,
    model: ModelName = None,
    fusion: FusionName = None,
    settings: Settings = None,
) -> None:
    """Segment studies without a server: for each a mask, a JSON and a preview.

    They are <study>.nii.gz, <study>.json and <study>.png in the output folder. What is done with
    the same images, settings and weights is skipped. A study that fails stops no other; the
    failures are listed at the end, and the exit code is then 1.
    """
    wait_passively()
    from zeus_app.api.batch import Batch
    from zeus_app.api.description import Choices
    from zeus_app.api.loading import load
    from zeus_app.api.output import check_extension
    from zeus_app.training.checkpoint import UNTRAINED

    if not studies.exists():
        raise InputError(
            f"{studies} does not exist",
            expected="an image file, the folder of a study, or a folder of studies",
            remedy="check the path, for example with ls",
        )
    choices = Choices(
        sequence=sequence,
        sequences=tuple(name.strip() for name in sequences.split(",") if name.strip()),
        texts=_texts(text or []),
        extension=check_extension(output_format),
    )
    given = {"profile": profile, "model": model, "fusion": fusion}
    conf = {**split_settings(settings or []), **{k: v for k, v in given.items() if v is not None}}
    chosen = load(target, studies=studies, state=state, checkpoint=checkpoint, **conf)
    is_trained = chosen.version != UNTRAINED or checkpoint == UNTRAINED
    # The version stays the same until the last study, whatever a server learns meanwhile.
    pinned = load(
        target, studies=studies, state=state, checkpoint=checkpoint or chosen.version, **conf
    )
    with progress_bars() as report:
        batch = Batch(pinned, studies, out, choices, report)
        if is_trained:
            failed = _tell(batch.segment(again=again), out)
        else:
            _tell_untrained(pinned)
            failed = _tell(batch.show_clicks(EXAMPLES), out)
            _tell_how_to_train(studies, target, state)
    if failed or not is_trained:
        raise typer.Exit(SOME_FAILED_EXIT_CODE)


def _texts(given: list[str]) -> dict[str, str]:
    """["KEY=TEXT", ...] -> {KEY: TEXT, ...}. Raises InputError for one without "="."""
    for text in given:
        if "=" not in text:
            raise InputError(
                f"text {text[:80]!r}",
                expected="KEY=TEXT, where the key is a sequence, a label, or both",
                remedy="write for example --text 'FLAIR/tumour=bright, on the left'",
            )
    return dict(text.split("=", 1) for text in given)


def _tell(outcomes: "Iterable[Outcome]", out: Path) -> int:
    """Print a line for each study, the numbers, and the failures again. Returns their number."""
    from collections import Counter

    from zeus_app.api.batch import State

    failed, counts = [], Counter[State]()
    for outcome in outcomes:
        counts[outcome.state] += 1
        if outcome.state is State.FAILED:
            failed.append(outcome)
        if outcome.state is not State.DONE_BEFORE:
            to = f" -> {outcome.path}" if outcome.path else ""
            typer.echo(f"{outcome.study_id}: {outcome.state.value}: {outcome.text}{to}")
    numbers = ", ".join(f"{counts[state]} {state.value}" for state in State if counts[state])
    typer.echo(f"{out}: {numbers or 'no study found'}")
    for outcome in failed:
        typer.secho(f"failed: {outcome.study_id}: {outcome.text}", fg=typer.colors.RED, err=True)
    return len(failed) + (not counts)


def _tell_untrained(model: "ZeusModel") -> None:
    typer.secho(
        f"zeus: no model of {model.target.name} is trained in {model.state.checkpoints}. A mask"
        " would mean nothing, so none is written. Clicks need no training: for the first"
        f" {EXAMPLES} studies you get a picture of one example click. Nobody chose its place, and"
        " it is no result.",
        fg=typer.colors.YELLOW,
        err=True,
    )


def _tell_how_to_train(studies: Path, target: str, state: Path | None) -> None:
    import shlex

    folder = studies if studies.is_dir() else studies.parent
    rest = shlex.join(["--target", target, *(["--state", str(state)] if state else [])])
    place = shlex.quote(str(folder))
    typer.echo(
        "Click in 3D Slicer or OHIF (docs/interactive.md):\n"
        f"  zeus serve {place} {rest}\n"
        "Train on masks that you have, named after the studies; then run this command again:\n"
        f"  zeus train {place} --labels <folder of masks> {rest}"
    )
