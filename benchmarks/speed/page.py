"""The page and the plot: measured values, their aims, and the profile of each missed aim."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure as Plot

from benchmarks.pages import replace_between_marks, table
from benchmarks.speed.figures import AIMS, Figure
from zeus_app.reporting.pictures import blank_figure, save_png
from zeus_app.reporting.plots import METHOD_COLOURS
from zeus_app.server.lifecycle.server_command import CHECKOUT

PAGE = CHECKOUT / "docs" / "speed.md"
PLOT = CHECKOUT / "docs" / "images" / "speed.png"
MISSED, REACHED = METHOD_COLOURS[1], METHOD_COLOURS[0]


def write_page(content: Mapping[str, Any], figures: Sequence[Figure]) -> None:
    """Draw the plot and write every table between its marks."""
    save_png(plot(figures), PLOT)
    picture = f"![How many times its aim each figure reaches](images/{PLOT.name})"
    put("speed", f"{machine_line(content)}\n\n{chr(10).join(aims_table(figures))}\n\n{picture}")
    put("others", "\n".join(others_table(figures)))
    put("made-of", "\n".join(parts_table(figures)))
    put("missed", missed_text(figures))


def put(name: str, text: str) -> None:
    """Replace one marked part of the page."""
    replace_between_marks(PAGE, name, text)


def machine_line(content: Mapping[str, Any]) -> str:
    """The machine, the versions and the duration."""
    machine_info = content.get("machine", {})
    minutes = sum(part["seconds"] for part in content.get("parts", {}).values()) / 60
    versions = ", ".join(
        f"{name} {machine_info.get(name)}" for name in ("torch", "openvino", "monailabel")
    )
    return (
        f"{machine_info.get('cpu')}, {machine_info.get('cores')} cores,"
        f" {machine_info.get('threads')} threads; {versions}; {minutes:.0f} minutes in all."
    )


def format_figure(value: float) -> str:
    """Three significant digits; from 100 on, a whole number."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def aims_table(figures: Sequence[Figure]) -> list[str]:
    """One row per figure with an aim, in the order of the aims."""
    by_key = {figure.key: figure for figure in figures}
    rows = []
    for key, aim in AIMS.items():
        figure = by_key.get(key, Figure(key, None, note="not run"))
        bound = f"{'at least' if aim.at_least else 'at most'} {aim.bound:g}"
        if figure.value is None:
            rows.append([f"{key}: {aim.what}", f"not measured: {figure.note}", bound, ""])
        else:
            verdict = "yes" if aim.reached(figure.value) else "**no**"
            rows.append([f"{key}: {aim.what}", format_figure(figure.value), bound, verdict])
    return table(["what", "measured", "to reach", "reached"], rows)


def others_table(figures: Sequence[Figure]) -> list[str]:
    """Figures without an aim: other programs on the same slices."""
    rows = [
        [
            result.key,
            f"not measured: {result.note}" if result.value is None else format_figure(result.value),
        ]
        for result in figures
        if result.key not in AIMS
    ]
    return table(["what", "measured"], rows)


def parts_table(figures: Sequence[Figure]) -> list[str]:
    """The measured values behind each figure: medians with their range."""
    rows = [
        [figure.key, name, in_words(value)]
        for figure in figures
        if figure.key in AIMS
        for name, value in figure.parts.items()
    ]
    rows += [[f.key, "note", f.note] for f in figures if f.key in AIMS and f.note]
    return table(["figure", "of what", "measured"], rows)


def in_words(value: object) -> str:
    """A number, or the median of several with their range."""
    if isinstance(value, list | tuple):
        low, high = format_figure(min(value)), format_figure(max(value))
        return f"{format_figure(statistics.median(value))} ({low} to {high}, n={len(value)})"
    return format_figure(value) if isinstance(value, int | float) else str(value)


def missed_text(figures: Sequence[Figure]) -> str:
    """For every missed aim: the profile, and the next step."""
    parts = []
    for figure in figures:
        aim = AIMS.get(figure.key)
        if aim is None or figure.value is None or aim.reached(figure.value):
            continue
        parts.append(f"**{figure.key}** {format_figure(figure.value)}, to reach {aim.bound:g}.")
        if figure.profile:
            whole = sum(value for _, value in figure.profile)
            rows = [[name, f"{ms:.1f}", f"{100 * ms / whole:.0f} %"] for name, ms in figure.profile]
            parts.append("\n".join(table(["stage", "ms", "share"], rows)))
        else:
            parts.append("What it was made of stands above.")
        parts.append(f"Next lever: {aim.lever}.")
    return "\n\n".join(parts) or "No aim was missed."


def plot(figures: Sequence[Figure]) -> Plot:
    """One bar per figure: its value relative to its aim. From 1 on the aim is reached."""
    bars = [
        (result.key, AIMS[result.key], result.value)
        for result in figures
        if result.key in AIMS and result.value is not None and result.value > 0
    ][::-1]
    figure = blank_figure(7.2, 1.2 + 0.34 * max(1, len(bars)))
    axes = figure.subplots()
    for row, (_, aim, value) in enumerate(bars):
        times = aim.times(value)
        colour = REACHED if aim.reached(value) else MISSED
        axes.barh(row, times - 1, left=1, color=colour, alpha=0.8, height=0.6)
        aim_text = f"{'≥' if aim.at_least else '≤'} {aim.bound:g}"
        axes.annotate(
            f" {format_figure(value)} ({aim_text}) ", (times, row), fontsize=8, va="center",
            ha="left" if times >= 1 else "right",
        )  # fmt: skip
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.margins(x=0.35)
    axes.set_yticks(range(len(bars)), [key for key, _, _ in bars])
    axes.set_title("How many times its aim each figure reaches (right of the line: reached)",
                   fontsize=10)  # fmt: skip
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure
