"""Pictures of a study: each sequence, its mask, the union and the truth.

Figures are made without pyplot. So they need no display, and any thread may draw them.
"""

import base64
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from zeus_app.reporting.values import StudyPage, mean
from zeus_app.storage.atomic import write_atomically
from zeus_app.types import FloatArray, LabelArray

# Distinct on grey and for colour-blind readers (after Okabe and Ito).
# The ninth label gets the first colour again.
COLOURS = (
    "#ff9f1c", "#35b7ff", "#2ee59d", "#ff5fa2", "#ffe14d", "#b48cff", "#ff6b4a", "#9be7ff",
)  # fmt: skip
PANEL_INCHES = 2.7
DOTS_PER_INCH = 110


def radiological(slice_xy: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Turn an axial slice to the radiological view.

    Args:
        slice_xy: (X, Y) of a RAS-canonical volume: X runs to the patient's right, Y to anterior.

    Returns:
        (Y, X) rows and columns: anterior at the top, the patient's right at the left.
    """
    return slice_xy[::-1, ::-1].T


def slice_with_most_labels(label_map: LabelArray | None) -> int | None:
    """The slice with the largest sum of the labels' volume fractions; None without any label.

    A small label so counts as much as a large one.

    Args:
        label_map: (X, Y, Z) values of labels, 0 for background.

    Returns:
        Index of an axial slice.
    """
    if label_map is None or not label_map.any():
        return None
    fractions = np.zeros(label_map.shape[2])
    for value in np.unique(label_map[label_map > 0]):
        voxels = np.sum(label_map == value, axis=(0, 1))
        fractions += voxels / voxels.sum()
    return int(np.argmax(fractions))


def slice_to_show(study: StudyPage) -> int:
    """The slice with most of the truth; without truth, most of the union; else the middle one."""
    for label_map in (study.truth, study.union):
        index = slice_with_most_labels(label_map)
        if index is not None:
            return index
    return study.union.shape[2] // 2


def window(volume: FloatArray) -> tuple[float, float]:
    """Intensities shown as black and as white: the percentiles 1 and 99.7."""
    low, high = np.percentile(volume[np.isfinite(volume)], (1.0, 99.7))
    return float(low), float(high) if high > low else float(low) + 1.0


def study_figure(study: StudyPage) -> Figure:
    """Two rows of panels: sequences and truth; below them the sequences' masks and the union."""
    index = slice_to_show(study)
    columns = len(study.sequences) + 1
    figure = blank_figure(columns * PANEL_INCHES, 2 * PANEL_INCHES * 1.12 + 0.3)
    axes = figure.subplots(2, columns, squeeze=False)
    for column, name in enumerate(study.sequences):
        _show(axes[0, column], study, name, index, title=name)
        title = f"{name}, own mask{_score(study, name)}"
        _show(axes[1, column], study, name, index, title=title, mask=study.masks.get(name))
    reference = next(iter(study.sequences))
    if study.truth is None:
        axes[0, -1].set_axis_off()
    else:
        _show(axes[0, -1], study, reference, index, title="truth", mask=study.truth)
    union_title = f"union{_score(study, 'after')}"
    _show(axes[1, -1], study, reference, index, title=union_title, mask=study.union)
    _legend(figure, study)
    return figure


def click_figure(study: StudyPage, sequence: str, voxel: tuple[int, int]) -> Figure:
    """Two panels of a study of one slice: a click, and the mask that it gives.

    Args:
        study: the union is the click's mask.
        sequence: the sequence that was clicked.
        voxel: the clicked voxel (i, j).
    """
    figure = blank_figure(2 * PANEL_INCHES, PANEL_INCHES * 1.12 + 0.5)
    clicked, masked = figure.subplots(1, 2)
    _show(clicked, study, sequence, 0, title=f"{sequence}: the click")
    x, y, _ = study.union.shape
    clicked.plot(x - 1 - voxel[0], y - 1 - voxel[1], "+", color=COLOURS[2], markersize=14)
    _show(masked, study, sequence, 0, title="the mask of this click", mask=study.union)
    _legend(figure, study)
    return figure


def _show(
    axes: Axes,
    study: StudyPage,
    sequence: str,
    index: int,
    *,
    title: str,
    mask: LabelArray | None = None,
) -> None:
    """Draw one panel: a slice, the outlines of a mask, and the dashed outlines of the truth."""
    volume = study.sequences[sequence]
    low, high = window(volume)
    picture = radiological(np.nan_to_num(volume[:, :, index], nan=low))
    aspect = study.spacing_mm[1] / study.spacing_mm[0]
    axes.imshow(picture, cmap="gray", vmin=low, vmax=high, aspect=aspect)
    if mask is not None:
        if study.truth is not None and mask is not study.truth:
            for value in study.labels.values():
                _outline(axes, study.truth[:, :, index] == value, "white", 0.9, "dashed")
        for colour, value in label_colours(study.labels).values():
            _outline(axes, mask[:, :, index] == value, colour, 1.5, "solid")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def label_colours(labels: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    """Label -> (colour, value), in the target's order."""
    return {
        name: (COLOURS[index % len(COLOURS)], value)
        for index, (name, value) in enumerate(labels.items())
    }


def _outline(
    axes: Axes, mask_xy: npt.NDArray[np.bool_], colour: str, width: float, style: str
) -> None:
    if not mask_xy.any():
        return
    mask = np.pad(
        radiological(mask_xy).astype(np.float32), 1
    )  # closes outlines at the picture's edge
    rows, columns = (np.arange(n) - 1 for n in mask.shape)
    axes.contour(
        columns, rows, mask, levels=[0.5], colors=[colour], linewidths=width, linestyles=style
    )


def _score(study: StudyPage, which: str) -> str:
    """Mean DSC for a title. `which` is "after" for the union, or the name of a sequence."""
    score = mean(
        [
            label.after if which == "after" else label.sequences.get(which)
            for label in study.scores.values()
        ]
    )
    return "" if score is None else f": DSC {score:.2f}"


def _legend(figure: Figure, study: StudyPage) -> None:
    lines = [
        Line2D([], [], color=colour, label=name)
        for name, (colour, _) in label_colours(study.labels).items()
    ]
    if study.truth is not None:
        lines.append(Line2D([], [], color="0.6", linestyle="dashed", label="truth (white)"))
    figure.legend(
        handles=lines, loc="outside lower center", ncols=len(lines), frameon=False, fontsize=8
    )


def blank_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure that sets its margins itself."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    return buffer.getvalue()


def data_uri(figure: Figure) -> str:
    """The figure as a data URI, for the `src` of an image."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(figure)).decode("ascii")


def save_png(figure: Figure, path: Path) -> Path:
    """Write the figure as a PNG file, atomically."""
    content = png_bytes(figure)
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return path
