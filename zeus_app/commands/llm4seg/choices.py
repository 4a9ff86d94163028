"""What the options of `zeus llm4seg` mean: the layer, the settings of a run, the images."""

from pathlib import Path
from typing import TYPE_CHECKING

from zeus_app.commands.terminal import print_by_reason
from zeus_app.errors import InputError

if TYPE_CHECKING:
    from zeus_app.baselines.llm4seg import LayerChoice
    from zeus_app.images2d.files import Pair
    from zeus_app.images2d.run import RunSettings


def chosen_layer(llm: str, layer: int | None, seed: int, *, train_layer: bool) -> "LayerChoice":
    """The layer that the options name. Raises InputError for options that contradict each other."""
    from zeus_app.baselines.llm4seg import DEFAULT_LLM, LayerChoice

    start, _, name = llm.partition(":")
    if llm == "none":
        if train_layer or layer is not None:
            raise InputError(
                "--llm none with --layer or --train-layer",
                expected="an LLM, whose layer these options describe",
                remedy="leave them out, or name an LLM, for example --llm smollm2-135m",
            )
        return LayerChoice("none", "")
    if start == "random":
        kind = "scratch" if train_layer else "random"
        return LayerChoice(kind, name or DEFAULT_LLM, layer, seed).resolved()
    return LayerChoice("trained" if train_layer else "frozen", llm, layer, seed).resolved()


def run_settings(choice: "LayerChoice", classes: str, size: int, images: Path) -> "RunSettings":
    """The settings of a run. Raises InputError for a size or classes that are impossible."""
    from zeus_app.images2d.run import DIVISOR, RunSettings

    if size % DIVISOR:
        raise InputError(
            f"--size {size}",
            expected=f"a multiple of {DIVISOR}, because the network halves the edge four times",
            remedy=f"give for example --size {round(size / DIVISOR) * DIVISOR}",
        )
    return RunSettings(
        kind=choice.kind,
        llm=choice.llm,
        layer=choice.index,
        seed=choice.seed,
        classes=class_values(classes),
        edge_px=size,
        images=str(images),
    )


def class_values(text: str) -> tuple[int, ...]:
    """The grey values in "1,2". Raises InputError for a value that no class can have."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    values = tuple(int(word) for word in words if word.isdecimal() and 0 < int(word) < 256)
    if len(values) != len(words) or len(set(values)) != len(values):
        raise InputError(
            f"--classes {text}",
            expected="different grey values from 1 to 255, separated by commas",
            remedy="give for example --classes 1,2; 0 is always the background",
        )
    return values


def find_pairs(images: Path, masks: Path, *, skip_bad: bool) -> "list[Pair]":
    """Images with their masks. Without `skip_bad`, an image without a mask is an InputError."""
    from zeus_app.images2d.files import find_images, match_masks, refuse_missing

    pairs, missing = match_masks(find_images(images, without=masks), masks)
    if not skip_bad or not pairs:
        refuse_missing(missing, masks)
    print_by_reason("left out", ["image", "reason"], missing)
    return pairs
