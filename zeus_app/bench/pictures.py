"""Small panels of judged cases: the image, the truth and the mask of each model.

Pictures of real cases stay in reports/, which git ignores. They are drawn only if asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeus_app.errors import InputError
from zeus_app.reporting.pictures import COLOURS, blank_figure
from zeus_app.storage.atomic import write_atomically
from zeus_app.studies.align import align_for
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import Target
from zeus_app.training.cases import Case
from zeus_app.types import LabelArray, LabelledStudy

_INCHES = 1.6


@dataclass(frozen=True, eq=False)
class JudgedSlice:
    """The slice of a case that shows most of the truth; (256, 256) uint8 arrays.

    Attributes:
        picture: the first sequence that the study has, from black (0) to white (255).
        truth, mask: k + 1 for the label of channel k, 0 for the background.
    """

    picture: LabelArray
    truth: LabelArray
    mask: LabelArray


def save_slice(
    path: Path, study: LabelledStudy, target: Target, case: Case, label_map: LabelArray
) -> None:
    """Store one slice of a judged case, with the mask of one model.

    Args:
        path: the file, with the ending .npz.
        study: the judged study; its voxels are read again.
        target: labels and sequences.
        case: the prepared study.
        label_map: (S, 256, 256), k + 1 for the label of channel k.
    """
    stack = slice_stack(align_for(study.read_study(), target), target.sequence_names)
    masks = case.masks(range(len(label_map))).numpy()  # (S, K, 256, 256)
    index = int(np.argmax(masks.sum(axis=(1, 2, 3))))
    sequence = int(np.argmax(stack.tissue[:, index]))
    values = np.arange(1, masks.shape[1] + 1, dtype=np.uint8)[:, None, None]
    arrays = {
        "picture": (stack.pixels[sequence, index] * 255).astype(np.uint8),
        "truth": (masks[index] * values).max(axis=0),
        "mask": label_map[index],
    }

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_atomically(path, write)


def read_slice(path: Path) -> JudgedSlice:
    """Read a file of `save_slice`.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with np.load(path) as arrays:
            return JudgedSlice(arrays["picture"], arrays["truth"], arrays["mask"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}, which is damaged",
            expected="a slice that `zeus bench run --pictures` stored",
            remedy="delete it, and run the job again with --again",
        ) from error


def panel(slices: Mapping[str, JudgedSlice], *, title: str) -> Figure:
    """Draw the image, the truth, and the mask of each model, side by side.

    Args:
        slices: the model's name -> the same slice of the same case; at least one.
        title: title of the figure.
    """
    first = next(iter(slices.values()))
    shown = {"image": None, "truth": first.truth, **{n: each.mask for n, each in slices.items()}}
    columns = min(len(shown), 6)
    rows = -(-len(shown) // columns)
    figure = blank_figure(columns * _INCHES, rows * (_INCHES + 0.2) + 0.2)
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for ax in axes:
        ax.set_axis_off()
    for ax, (name, mask) in zip(axes, shown.items(), strict=False):
        _show(ax, first.picture, mask, name)
    figure.suptitle(title, fontsize=8)
    return figure


def _show(ax: Axes, picture: LabelArray, mask: LabelArray | None, name: str) -> None:
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255)
    for value in np.unique(mask[mask > 0]) if mask is not None else ():
        colour = COLOURS[(int(value) - 1) % len(COLOURS)]
        ax.contour(mask == value, levels=[0.5], colors=[colour], linewidths=0.9)
    ax.set_title(name, fontsize=6)
