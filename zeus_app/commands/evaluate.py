"""`zeus evaluate`: masks compared with the truth."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zeus_app.commands.terminal import print_by_reason, print_table, progress_bars

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeus_app.evaluation.compare import CaseScores, Structure
    from zeus_app.evaluation.tables import Evaluation, Statistic

NOTHING_COMPARED_EXIT_CODE = 1
_MOST_CASES = 20  # in the table of cases; scores.csv has all
_SUMMARY = {"dsc": "DSC", "iou": "IoU", "lesion_f1": "lesion F1", "hd95_mm": "HD95, mm"}


def evaluate(
    masks: Annotated[Path, typer.Argument(help="Folder of masks, or one mask.")],
    truth: Annotated[Path, typer.Option("--truth", help="Folder of true masks, or one of them.")],
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="Name of a shipped target, or path of a target's YAML file: its labels and groups"
            " are scored.",
            show_default="every value above 0 is a label",
        ),
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(
            help="Data set whose values the truth has, for example brats2023.",
            show_default="the target's values",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Folder for scores.csv, summary.csv and scores.png.",
            show_default="<masks>-evaluation, beside the masks",
        ),
    ] = None,
    with_json: Annotated[bool, typer.Option("--json", help="Write scores.json too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace earlier results.")] = False,
) -> None:
    """Compare masks with the truth: DSC, mIoU, HD95, lesion-wise F1, volumes.

    A mask and its truth have one name: p1.nii.gz, p1_seg.nii.gz, or p1/mask.nii.gz. A mask on
    another grid is resampled by the nearest voxel, and that is said. Where mask and truth are both
    empty, DSC, IoU and F1 are 1; without a surface there is no HD95.
    """
    from zeus_app.evaluation.compare import Reading
    from zeus_app.evaluation.evaluate import evaluate as compare_all
    from zeus_app.evaluation.tables import check_free, write_results
    from zeus_app.targets import load_target

    reading = Reading(load_target(target) if target else None, convention)
    folder = out or _beside(masks)
    if not force:
        check_free(folder, with_json=with_json)
    with progress_bars() as report:
        found = compare_all(masks, truth, reading, report=report)
    print_by_reason("not compared", ["file or case", "reason"], found.left_out)
    if not (found.cases and found.structures):
        why = "no label occurs; --target names labels" if found.cases else "nothing was compared"
        typer.secho(f"zeus: {why}", fg=typer.colors.RED, err=True)
        raise typer.Exit(NOTHING_COMPARED_EXIT_CODE)
    _print_scores(found)
    for path in write_results(found, folder, with_json=with_json):
        typer.echo(path)
    typer.echo(f"{len(found.cases)} cases compared, {len(found.left_out)} files or cases left out")


def _beside(masks: Path) -> Path:
    """The folder for results: `p1-evaluation` for the folder p1 and for the file p1.nii.gz."""
    from zeus_app.volumes.sources import stem

    whole = Path(os.path.abspath(masks))
    name = stem(whole) if whole.is_file() else whole.name
    return whole.with_name(f"{name}-evaluation")


def _print_scores(found: "Evaluation") -> None:
    notes = [[case.case, note] for case in found.cases for note in case.notes]
    if notes:
        print_table("notes", ["case", "note"], notes)
    _print_worst(found)
    statistics = {(one.kind, one.label, one.score): one for one in found.statistics()}
    rows = []
    for structure in found.structures:
        scores = [statistics[structure.kind, structure.name, name] for name in _SUMMARY]
        rows.append([structure.kind, structure.name, *map(_shown, scores)])
    of_cases = found.statistics()[-1]
    rows.append([of_cases.kind, of_cases.label, "", f"mIoU {_shown(of_cases)}", "", ""])
    title = f"{len(found.cases)} cases: mean ± SD (median)"
    print_table(title, ["", "label", *_SUMMARY.values()], rows)


def _print_worst(found: "Evaluation") -> None:
    """The cases with the lowest mIoU, with the DSC of each label."""
    worst = sorted(found.cases, key=found.miou)[:_MOST_CASES]
    names = [f"{one.name} (group)" if one.kind == "group" else one.name for one in found.structures]
    rows = [[case.case, f"{found.miou(case):.3f}", *_dsc(case, found.structures)] for case in worst]
    rest = len(found.cases) - len(worst)
    title = "DSC of each case, the lowest mIoU first"
    print_table(
        f"{title}; {rest} more in scores.csv" if rest else title, ["case", "mIoU", *names], rows
    )


def _dsc(case: "CaseScores", structures: "Iterable[Structure]") -> list[str]:
    return [f"{case.of(one).dsc:.3f}" for one in structures]


def _shown(one: "Statistic") -> str:
    """The statistic in words; the number of cases where some have no such score."""
    if one.mean is None:
        return "none"
    sd = "" if one.sd is None else f" ± {one.sd:.3f}"
    cases = f", {one.cases} cases" if one.score == "hd95_mm" else ""
    return f"{one.mean:.3f}{sd} ({one.median:.3f}{cases})"
