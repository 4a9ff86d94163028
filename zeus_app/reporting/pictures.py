"""Pictures of a study: each sequence, its own mask, the union and the truth.

Figures are made without pyplot, so that a server may draw from any thread and no display is needed.
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

# Told apart on grey and by colour-blind readers (after Okabe and Ito); they repeat beyond eight.
COLOURS = (
    "#ff9f1c", "#35b7ff", "#2ee59d", "#ff5fa2", "#ffe14d", "#b48cff", "#ff6b4a", "#9be7ff",
)  # fmt: skip
PANEL_INCHES = 2.7
DOTS_PER_INCH = 110


def radiological(slice_xy: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Lay an axial slice as radiologists look at it.

    Args:
        slice_xy: (X, Y) of a RAS-canonical volume: X runs to the patient's right, Y to the front.

    Returns:
        (Y, X) rows and columns: the front at the top, the patient's right at the left edge.
    """
    return slice_xy[::-1, ::-1].T


def choose_slice(label_map: LabelArray | None) -> int | None:
    """The slice with the most truth, each label weighed by its share; None without any label."""
    if label_map is None or not label_map.any():
        return None
    shares = np.zeros(label_map.shape[2])
    for value in np.unique(label_map[label_map > 0]):
        voxels = np.sum(label_map == value, axis=(0, 1))
        shares += voxels / voxels.sum()
    return int(np.argmax(shares))


def shown_slice(study: StudyPage) -> int:
    """The slice to show: the most truth, else the most union, else the middle."""
    for label_map in (study.truth, study.union):
        index = choose_slice(label_map)
        if index is not None:
            return index
    return study.union.shape[2] // 2


def window(volume: FloatArray) -> tuple[float, float]:
    """Intensities shown black and white: all but the darkest 1 % and the brightest 0.3 %."""
    low, high = np.percentile(volume[np.isfinite(volume)], (1.0, 99.7))
    return float(low), float(high) if high > low else float(low) + 1.0


def study_figure(study: StudyPage) -> Figure:
    """Two rows of panels: the sequences and the truth; under them the own masks and the union."""
    index = shown_slice(study)
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


def _show(
    axes: Axes,
    study: StudyPage,
    sequence: str,
    index: int,
    *,
    title: str,
    mask: LabelArray | None = None,
) -> None:
    """One panel: a slice, a mask's outlines and, dashed under them, the truth's."""
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
        name: (COLOURS[place % len(COLOURS)], value)
        for place, (name, value) in enumerate(labels.items())
    }


def _outline(
    axes: Axes, mask_xy: npt.NDArray[np.bool_], colour: str, width: float, style: str
) -> None:
    if not mask_xy.any():
        return
    mask = np.pad(radiological(mask_xy).astype(np.float32), 1)  # closes outlines at the edge
    rows, columns = (np.arange(n) - 1 for n in mask.shape)
    axes.contour(
        columns, rows, mask, levels=[0.5], colors=[colour], linewidths=width, linestyles=style
    )


def _score(study: StudyPage, which: str) -> str:
    found = mean(
        [
            scores.after if which == "after" else scores.sequences.get(which)
            for scores in study.scores.values()
        ]
    )
    return "" if found is None else f": DSC {found:.2f}"


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
    """A figure that lays out its own margins."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    return buffer.getvalue()


def data_uri(figure: Figure) -> str:
    """The figure as a `src` that needs no file beside the page."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(figure)).decode("ascii")


def save_png(figure: Figure, path: Path) -> Path:
    """Write the figure as a PNG file, whole or not at all."""
    content = png_bytes(figure)
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return path
