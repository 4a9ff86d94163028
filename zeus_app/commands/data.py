"""`zeus data`: public datasets as they are downloaded."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zeus_app.commands.terminal import print_table, progress_bars
from zeus_app.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeus_app.datasets.dataset import Dataset
    from zeus_app.datasets.link import Linked
    from zeus_app.datasets.splits import DataSplit
    from zeus_app.datasets.verify import Verification

PROBLEMS_EXIT_CODE = 1
_MOST_PROBLEMS = 60  # in the table; --json has all

data_app = typer.Typer(help="Public datasets as downloaded: what is there, splits, studies.")

DataFolder = Annotated[
    Path, typer.Argument(help="Folder of the unpacked dataset. Nothing is written to it.")
]
DataTarget = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="Target to read it for: a name, or the path of a YAML file.",
        show_default="that of the paper, else one made of dataset.json",
    ),
]
DataConvention = Annotated[
    str | None,
    typer.Option(
        "--convention", help="Convention of the masks' values.", show_default="the dataset's own"
    ),
]


@data_app.command("verify")
def verify(
    folder: DataFolder,
    target: DataTarget = None,
    convention: DataConvention = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Read headers and masks alone, not all voxels.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Tell what a dataset holds, and what is wrong with it. Exit code 1 means: something is wrong.

    Layouts: Medical Segmentation Decathlon, CHAOS (MR), BraTS, raw datasets of nnU-Net.
    """
    from zeus_app.datasets.kinds import open_dataset
    from zeus_app.datasets.verify import verify as verify_dataset

    dataset = open_dataset(folder, target, convention=convention)
    with progress_bars() as report:
        found = verify_dataset(dataset, with_voxels=not quick, report=report)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=1))
    else:
        _print(found)
    if found.problems:
        raise typer.Exit(PROBLEMS_EXIT_CODE)


@data_app.command("split")
def split(
    folder: DataFolder,
    out: Annotated[Path, typer.Option("-o", "--out", help="JSON file for the split.")],
    fractions: Annotated[
        str | None,
        typer.Option(help="Shares of train, validation and test.", show_default="0.7,0.1,0.2"),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Number of folds, instead of shares.")
    ] = None,
    official: Annotated[
        bool, typer.Option("--official", help="The folds that the dataset's own files name.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the order of patients.")] = 0,
    target: DataTarget = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another split.")] = False,
) -> None:
    """Split a dataset by patient, and write the split to a file.

    The same dataset and seed give the same split. A patient is never in two parts.
    """
    from zeus_app.datasets.kinds import open_dataset
    from zeus_app.datasets.splits import save_split

    if (fractions is not None) + (folds is not None) + official > 1:
        raise InputError(
            "more than one of --fractions, --folds and --official",
            expected="one of them, or none for --fractions 0.7,0.1,0.2",
            remedy="leave the others out",
        )
    dataset = open_dataset(folder, target)
    made = _drawn(dataset, fractions or "0.7,0.1,0.2", folds, seed, is_official=official)
    save_split(made, out, replace=force)
    _print_split(made, dataset)
    typer.echo(out)


@data_app.command("link")
def link(
    folder: DataFolder,
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder of studies.")],
    target: DataTarget = None,
    convention: DataConvention = None,
    split: Annotated[
        Path | None, typer.Option("--split", help="File of a split: only its cases are linked.")
    ] = None,
    fold: Annotated[int, typer.Option(min=0, help="Fold of the split, from 0.")] = 0,
    part: Annotated[str, typer.Option(help="Part of the fold: train, validation, test.")] = "train",
) -> None:
    """Make a folder of studies that lists the dataset's images, without copying them.

    Masks that are no NIfTI are written as NIfTI. All commands and servers read the folder.
    """
    from zeus_app.datasets.kinds import open_dataset
    from zeus_app.datasets.link import link_dataset

    dataset = open_dataset(folder, target, convention=convention)
    only = None if split is None else _part_of(dataset, split, fold, part)
    with progress_bars() as report:
        linked = link_dataset(dataset, out, only=only, report=report)
    _print_next(linked, dataset, target)


def _drawn(
    dataset: "Dataset", fractions: str, folds: int | None, seed: int, *, is_official: bool
) -> "DataSplit":
    from zeus_app.datasets.splits import official_split, split_by_fractions, split_in_folds

    if is_official:
        return official_split(dataset)
    if folds is not None:
        return split_in_folds(dataset, folds, seed=seed)
    try:
        shares = [float(word) for word in fractions.split(",")]
    except ValueError as error:
        raise InputError(
            f"--fractions {fractions}",
            expected="three numbers with commas between them",
            remedy="write for example --fractions 0.7,0.1,0.2",
        ) from error
    return split_by_fractions(dataset, shares, seed=seed)


def _part_of(dataset: "Dataset", path: Path, fold: int, part: str) -> tuple[str, ...]:
    from zeus_app.datasets.splits import load_split

    folds = load_split(path, dataset).folds
    if fold >= len(folds) or part not in folds[fold]:
        raise InputError(
            f"part {part!r} of fold {fold}",
            expected=f"folds 0 to {len(folds) - 1}, with {', '.join(folds[0])}",
            remedy="choose one with --fold and --part",
        )
    return folds[fold][part]


def _print(found: "Verification") -> None:
    said = found.as_json()
    _print_contents(said)
    rows = [[problem["case"] or "dataset", problem["problem"]] for problem in said["problems"]]
    if rows:
        rest = f"; {len(rows) - _MOST_PROBLEMS} more with --json"
        title = f"problems{rest if len(rows) > _MOST_PROBLEMS else ''}"
        print_table(title, ["case", "problem"], rows[:_MOST_PROBLEMS])
    if said["absent_labels"]:
        typer.echo(f"labels that no mask shows: {', '.join(said['absent_labels'])}")
    parts = ", ".join(f"{count} {part}" for part, count in said["parts"].items())
    typer.echo(
        f"{said['folder']}: {said['kind']}, {said['cases']} cases ({parts}) of {said['patients']}"
        f" patients, {said['labelled']} with truth, {len(said['ignored'])} files ignored,"
        f" {len(rows)} problems"
    )


def _print_contents(said: dict[str, Any]) -> None:
    print_table(
        f"{said['name']}: images",
        ["sequence", "cases", "spacing, mm", "voxels"],
        [
            [name, str(one["cases"]), _range(one["spacing_mm"]), _range(one["shape"])]
            for name, one in said["sequences"].items()
        ],
    )
    print_table(
        f"{said['name']}: masks",
        ["value", f"label of {said['target']}", "voxels", "cases"],
        [
            [str(one["value"]), one["label"] or "none", str(one["voxels"]), str(one["cases"])]
            for one in said["labels"]
        ],
    )


def _range(values: "Sequence[Sequence[float]]") -> str:
    """The smallest and the largest along each axis: 0.5–0.625 × 0.5 × 3."""
    axes = zip(*values, strict=True)
    return " × ".join(f"{a:g}" if a == b else f"{a:g}–{b:g}" for a, b in axes)


def _print_split(made: "DataSplit", dataset: "Dataset") -> None:
    patients = {case.id: case.patient for case in dataset.cases}
    rows = [
        [str(number), part, str(len(cases)), str(len({patients[case] for case in cases}))]
        for number, fold in enumerate(made.folds)
        for part, cases in fold.items()
    ]
    print_table(f"{made.name}: {made.made_by}", ["fold", "part", "cases", "patients"], rows)


def _print_next(linked: "Linked", dataset: "Dataset", target: str | None) -> None:
    typer.echo(
        f"{linked.folder}: {linked.cases} studies, {linked.labelled} with a mask,"
        f" {linked.written} masks written"
    )
    if not linked.labelled:
        return
    words = ["zeus", "import-labels", str(linked.folder), "--target", target or dataset.target.name]
    words += ["--convention", linked.convention] if linked.convention else []
    typer.echo(f"next: {shlex.join(words)}")
