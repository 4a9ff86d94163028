"""`zeus llm4seg`: trains and runs LLM4Seg on folders of 2-D images."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zeus_app.commands.llm4seg.choices import chosen_layer, find_pairs, run_settings
from zeus_app.commands.terminal import print_by_reason, print_table, progress_bars
from zeus_app.commands.threads import wait_passively

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeus_app.images2d.run import RunSettings
    from zeus_app.images2d.segmentation import ImageScores
    from zeus_app.images2d.split import Split
    from zeus_app.images2d.training import Validation

SOME_FAILED_EXIT_CODE = 1
_MOST_IMAGES = 20  # in the table of images; scores.csv has all

Images = Annotated[
    Path, typer.Argument(help="Folder of images: PNG, JPEG, TIFF or BMP. Nothing is written to it.")
]
Masks = Annotated[
    Path,
    typer.Option(
        help="Folder of masks, named after the images; _mask, _segmentation or _seg may follow."
        " May be the folder of the images."
    ),
]
Run = Annotated[Path, typer.Option("--run", help="Folder that zeus llm4seg train wrote.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad", help="Leave out images without a mask or with a wrong one, and list them."
    ),
]

llm4seg_app = typer.Typer(
    help="2-D images: a CNN with one frozen layer of an LLM. Machine-made, not for diagnosis."
)


@llm4seg_app.command("train")
def train(
    images: Images,
    masks: Masks,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the run.")] = Path("run"),
    llm: Annotated[
        str,
        typer.Option(
            help="LLM whose layer stands at the bottleneck: a name of zeus weights list, or a"
            " folder with config.json and safetensors. none: no layer. random, or random:NAME: a"
            " layer of that LLM's shape with random weights."
        ),
    ] = "smollm2-135m",
    layer: Annotated[
        int | None,
        typer.Option(
            help="Index of the layer, from 0.", show_default="the paper's, or the last but one"
        ),
    ] = None,
    train_layer: Annotated[
        bool, typer.Option("--train-layer", help="Train the LLM's layer too.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 300,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="Longest duration, instead of a number of epochs."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of SGD, at the beginning.")] = 0.01,
    size: Annotated[
        int, typer.Option(min=16, help="Edge of the images for the network; a multiple of 16.")
    ] = 256,
    classes: Annotated[
        str,
        typer.Option(
            help="Grey values of the classes in the masks, separated by commas: 1,2,3.",
            show_default="one class, above half of the mask's range",
        ),
    ] = "",
    validation: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of images that choose the weights.")
    ] = 0.2,
    split: Annotated[
        Path | None, typer.Option(help="split.json of another run, instead of a new split.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of split, order and random weights.")] = 0,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run.")] = False,
) -> None:
    """Train on images and masks. The weights with the best validation are kept.

    The recipe is that of the published code: SGD, 0.5 · BCE + Dice, turns and flips. The folder of
    the run has run.json, split.json, images.json, weights.safetensors and course.csv.
    """
    wait_passively()
    from zeus_app.devices import choose_device
    from zeus_app.images2d.image_set import read_images
    from zeus_app.images2d.pixels import Classes
    from zeus_app.images2d.run import RunFolder
    from zeus_app.images2d.split import draw_split, read_split
    from zeus_app.images2d.training import ImageRecipe, train_run

    run = RunFolder(out)
    run.check_free(force=force)
    choice = chosen_layer(llm, layer, seed, train_layer=train_layer)
    settings = run_settings(choice, classes, size, images)
    pairs = find_pairs(images, masks, skip_bad=skip_bad)
    recipe = ImageRecipe(
        epochs=epochs, seconds=seconds, batch=batch, learning_rate=learning_rate, seed=seed
    )
    with progress_bars() as report:
        data, skipped = read_images(
            pairs, Classes(settings.classes), edge=size, skip_bad=skip_bad, report=report
        )
        names = data.names
        chosen = (
            draw_split(names, fraction=validation, seed=seed)
            if split is None
            else read_split(split, names)
        )
        best = train_run(
            run, settings, data, chosen, recipe, device=choose_device(device), report=report
        )
    print_by_reason("left out", ["image", "reason"], skipped)
    typer.echo(_told(out, settings, chosen, best, images))


@llm4seg_app.command("segment")
def segment(
    images: Annotated[Path, typer.Argument(help="Folder of images, or one image.")],
    run: Run,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the masks.")],
    device: Device = "auto",
) -> None:
    """Write a mask for each image, as PNG in the image's own size.

    An image that fails stops no other; the exit code is then 1.
    """
    wait_passively()
    from zeus_app.devices import choose_device
    from zeus_app.images2d.files import find_images
    from zeus_app.images2d.run import RunFolder
    from zeus_app.images2d.segmentation import ImageSegmenter, write_masks

    found = find_images(images)
    segmenter = ImageSegmenter.of(RunFolder(run), choose_device(device))
    with progress_bars() as report:
        failed = write_masks(segmenter, found, out, report=report)
    print_by_reason("failed", ["image", "reason"], failed)
    typer.echo(f"{out}: {len(found) - len(failed)} masks written, {len(failed)} images failed")
    if failed:
        raise typer.Exit(SOME_FAILED_EXIT_CODE)


@llm4seg_app.command("evaluate")
def evaluate(
    images: Images,
    masks: Masks,
    run: Run,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="CSV file for the scores of each image.")
    ] = None,
    device: Device = "auto",
    skip_bad: SkipBad = False,
) -> None:
    """Compare the masks of a run with the truth: DSC and mIoU, on each image's own size.

    Images that the run learned from, those that chose its weights, and new ones are told apart by
    their content.
    """
    wait_passively()
    from zeus_app.devices import choose_device
    from zeus_app.images2d.run import RunFolder, write_rows
    from zeus_app.images2d.segmentation import ImageSegmenter, score_images

    folder = RunFolder(run)
    segmenter = ImageSegmenter.of(folder, choose_device(device))
    pairs = find_pairs(images, masks, skip_bad=skip_bad)
    with progress_bars() as report:
        scores, skipped = score_images(
            segmenter, pairs, folder.roles(), skip_bad=skip_bad, report=report
        )
    print_by_reason("not compared", ["image", "reason"], skipped)
    _print_scores(scores)
    if out is not None:
        write_rows(out, [asdict(one) for one in scores])
        typer.echo(out)
    if not scores:
        raise typer.Exit(SOME_FAILED_EXIT_CODE)


def _told(
    out: Path, settings: "RunSettings", split: "Split", best: "Validation", images: Path
) -> str:
    """Result of a training, and the command to segment with it."""
    score = (
        "not validated"
        if best.dsc is None
        else f"validation DSC {best.dsc:.3f}, mIoU {best.iou:.3f}, of the images that chose the"
        " weights"
    )
    command = ["zeus", "llm4seg", "segment", str(images), "--run", str(out), "--out", "masks"]
    return (
        f"{out}: {settings.choice.describe()}; {best.step} steps in {best.seconds:.0f} s on"
        f" {len(split.train)} images; {score}; segment with: {shlex.join(command)}"
    )


def _print_scores(scores: "Sequence[ImageScores]") -> None:
    """Print means for each role, and the images with the lowest DSC."""
    from zeus_app.images2d.segmentation import mean_scores

    worst = sorted(scores, key=lambda one: one.dsc)[:_MOST_IMAGES]
    rows = [[one.name, one.role, f"{one.dsc:.3f}", f"{one.miou:.3f}"] for one in worst]
    if rows:
        print_table("images with the lowest DSC", ["image", "in the run", "DSC", "mIoU"], rows)
    means = []
    for role in dict.fromkeys(one.role for one in scores):
        group = [one for one in scores if one.role == role]
        means.append([role, str(len(group)), *(f"{mean:.3f}" for mean in mean_scores(group))])
    print_table("means", ["in the run", "images", "DSC", "mIoU", "mIoU with background"], means)
