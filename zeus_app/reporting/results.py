"""docs/results.md: tables and plots of the runs on real MRI; the words around them are kept."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zeus_app.reporting.curves import training_curve
from zeus_app.reporting.pictures import save_png
from zeus_app.reporting.plots import spread_by_method
from zeus_app.reporting.values import CurvePoint
from zeus_app.storage.atomic import write_text_atomically

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
UNION = "union"

Row = tuple[str, str, Mapping[str, Any]]
"""(method, study, scores)."""


def write_results(measured: Path, docs: Path) -> Path:
    """Put every target's results.json below `measured` into docs/results.md.

    Only what lies between the two marks is replaced, and there only the targets that were
    measured; plots go to docs/images.

    Returns:
        The page.
    """
    page = docs / "results.md"
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Results\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    shown, _, after = rest.partition(END)
    parts = _by_target(shown)
    for path in measured.glob("*/results.json"):
        parts |= _by_target(_target_part(json.loads(path.read_text(encoding="utf-8")), docs))
    shown = "\n".join(parts[name] for name in sorted(parts))
    write_text_atomically(page, f"{before}{BEGIN}\n\n{shown}\n{END}{after}")
    return page


def _by_target(text: str) -> dict[str, str]:
    """Target -> its part of the page."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


def _target_part(done: Mapping[str, Any], docs: Path) -> str:
    lines = [f"## {done['target']}", ""]
    rows = _rows(done)
    if rows:
        lines += [_how(done), "", *_summary_table(rows), "", *_case_table(rows), ""]
        lines += _plots(done, rows, docs)
    if done.get("exchanged"):
        lines += [_exchanged(done["exchanged"]), ""]
    if done.get("smoke"):
        lines += ["Smoke, untrained and not scored (its truth is not a human's):", ""]
        lines += [_smoke_line(case) for case in done["smoke"]] + [""]
    return "\n".join(lines)


def _how(done: Mapping[str, Any]) -> str:
    runs = list(done["runs"].values())
    folds = {tuple(run["judged"]) for run in runs}
    learnt = sorted({len(run["learnt"]) for run in runs})
    recipe = ", ".join(f"{name} {value}" for name, value in done["recipe"].items())
    names = dict.fromkeys(run["model"] for run in runs)
    times = "; ".join(_spent(name, [run for run in runs if run["model"] == name]) for name in names)
    return (
        f"Command: `make real TARGET={done['target']}`, {done['wall_s'] / 60:.0f} minutes in all on"
        f" two cores. {len(folds)} fold(s), {'/'.join(map(str, learnt))} patients to learn from in"
        f" each, {sum(map(len, folds))} judged in all. Mean seconds a fold: {times}."
        f" Recipe: {recipe}."
    )


def _spent(name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """Training time of a model, and what starting, encoding and writing took before it."""
    trained = np.mean([run["train_seconds"] for run in runs])
    whole = np.mean([run["with_preparation_seconds"] for run in runs])
    return f"{name} {trained:.0f} training after {whole - trained:.0f} of preparation"


def _rows(done: Mapping[str, Any]) -> list[Row]:
    """Every scored mask, in the order it is shown in."""
    rows: list[Row] = []
    for run in done["runs"].values():
        for case in run["cases"]:
            for branch, scores in case["scores"].items():
                rows.append((_method(run["model"], case["phase"], branch), case["study"], scores))
    return rows


def _method(model: str, phase: str, branch: str) -> str:
    name = f"{model}, untrained" if phase == "before" else model
    return name if branch == UNION else f"{name}, {branch} branch"


def _by_method(rows: Sequence[Row]) -> dict[str, list[Mapping[str, Any]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for method, _, scores in rows:
        grouped.setdefault(method, []).append(scores)
    return grouped


def _summary_table(rows: Sequence[Row]) -> list[str]:
    labels = list(rows[0][2]["dsc"])
    head = ["mean over cases", *(f"{label} DSC" for label in labels), "mean DSC", "worst DSC",
            "mIoU", "mIoU with background"]  # fmt: skip
    body = []
    for method, scores in _by_method(rows).items():
        per_label = [[case["dsc"][label] for case in scores] for label in labels]
        body.append([
            method,
            *(_figure(np.mean(values)) for values in per_label),
            _figure(np.mean(per_label)),
            _figure(np.min(per_label)),
            _figure(np.mean([case["miou"] for case in scores])),
            _figure(np.mean([case["miou_with_background"] for case in scores])),
        ])  # fmt: skip
    return _table(head, body)


def _case_table(rows: Sequence[Row]) -> list[str]:
    labels = list(rows[0][2]["dsc"])
    head = ["case", "method", *(f"{label} DSC / IoU" for label in labels), "mIoU",
            "mIoU with background"]  # fmt: skip
    body = [
        [
            study,
            method,
            *(f"{_figure(scores['dsc'][n])} / {_figure(scores['iou'][n])}" for n in labels),
            _figure(scores["miou"]),
            _figure(scores["miou_with_background"]),
        ]
        for method, study, scores in sorted(rows, key=lambda row: row[1])
    ]
    return ["<details><summary>Each case</summary>", "", *_table(head, body), "", "</details>"]


def _plots(done: Mapping[str, Any], rows: Sequence[Row], docs: Path) -> list[str]:
    target = done["target"]
    scores = {
        method: [float(np.mean(list(case["dsc"].values()))) for case in cases]
        for method, cases in _by_method(rows).items()
        if "untrained" not in method
    }
    title = f"{target}: mean DSC of each judged case"
    save_png(spread_by_method(scores, title=title), docs / "images" / f"{target}.png")
    zeus = next(run for run in done["runs"].values() if run["model"] == "Zeus")
    curve = [CurvePoint(e["number"], e["loss"], e["score"]) for e in zeus["epochs"]]
    save_png(training_curve(curve), docs / "images" / f"{target}-training.png")
    return [
        f"![DSC of each case on {target}](images/{target}.png)",
        "",
        f"![training of Zeus on {target}, first fold](images/{target}-training.png)",
        "",
        _times(done),
        "",
    ]


def _times(done: Mapping[str, Any]) -> str:
    zeus = [run for run in done["runs"].values() if run["model"] == "Zeus"]
    # What is judged in later folds was learnt from in the first, and kept.
    phases = {
        "first, nothing kept": ("before", zeus[:1]),
        "with embeddings and texts kept": ("after", zeus),
    }
    parts = []
    for what, (phase, runs) in phases.items():
        cases = [case for run in runs for case in run["cases"] if case["phase"] == phase]
        if cases:
            seconds = np.median([case["seconds"] for case in cases])
            parts.append(f"{what} {seconds:.1f} s")
    return f"One study through the server, median: {'; '.join(parts)}."


def _exchanged(found: Mapping[str, Sequence[float]]) -> str:
    named, trained = (float(np.mean(found[key])) for key in ("named", "trained"))
    return (
        "The server was asked for each label by the name of the next label; nothing else changed."
        f" Mean DSC with the named label {_figure(named)}, with the label trained in that place"
        f" {_figure(trained)}."
    )


def _smoke_line(case: Mapping[str, Any]) -> str:
    shape = "×".join(map(str, case["shape"]))
    return (
        f"- {case['study']}: mask of {shape} voxels from {', '.join(case['used'])} in "
        f"{case['seconds']:.0f} s; {'; '.join(case['notes'])}"
    )


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *body)]


def _figure(value: float) -> str:
    return f"{float(value):.3f}"
