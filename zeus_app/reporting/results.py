"""Writes tables and plots of the runs on real MRI into docs/results.md.

Text outside of the two marks stays as its authors wrote it.
"""

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
    """Write the section of each measured target into docs/results.md, and its plots.

    Args:
        measured: folder with <target>/results.json files, as `zeus real` writes them.
        docs: folder of results.md and images/. Sections of other targets stay.

    Returns:
        Path of the page.
    """
    page = docs / "results.md"
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Results\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    generated, _, after = rest.partition(END)
    sections = _sections(generated)
    for path in measured.glob("*/results.json"):
        results = json.loads(path.read_text(encoding="utf-8"))
        sections |= _sections(_section(results, docs))
    generated = "\n".join(sections[target] for target in sorted(sections))
    write_text_atomically(page, f"{before}{BEGIN}\n\n{generated}\n{END}{after}")
    return page


def _sections(text: str) -> dict[str, str]:
    """Target -> its section of the page."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


def _section(results: Mapping[str, Any], docs: Path) -> str:
    lines = [f"## {results['target']}", ""]
    rows = _rows(results)
    if rows:
        lines += [_setup(results), "", *_summary_table(rows), "", *_case_table(rows), ""]
        lines += _plots(results, rows, docs)
    if results.get("exchanged"):
        lines += [_exchanged(results["exchanged"]), ""]
    if results.get("smoke"):
        lines += ["Smoke test, untrained and not scored (the labels are machine-made):", ""]
        lines += [_smoke_line(case) for case in results["smoke"]] + [""]
    return "\n".join(lines)


def _setup(results: Mapping[str, Any]) -> str:
    runs = list(results["runs"].values())
    folds = {tuple(run["judged"]) for run in runs}
    trained = sorted({len(run["learnt"]) for run in runs})
    names = dict.fromkeys(run["model"] for run in runs)
    times = "; ".join(
        _seconds(name, [run for run in runs if run["model"] == name]) for name in names
    )
    return (
        f"Command: `make real TARGET={results['target']}`, {results['wall_s'] / 60:.0f} minutes in"
        f" all on two cores. {len(folds)} fold(s), {'/'.join(map(str, trained))} training patients"
        f" in each, {sum(map(len, folds))} scored patients in all. Mean seconds per fold: {times}."
        f" Recipes, where they differ from the paper's: {_recipes(results, list(names))}."
    )


def _recipes(results: Mapping[str, Any], models: Sequence[str]) -> str:
    """The recipe of each model; models of one recipe share its text."""
    of_recipe: dict[str, list[str]] = {}
    for model in models:
        values = results["recipes"][model].items()
        text = ", ".join(f"{name} {value}" for name, value in values) or "none"
        of_recipe.setdefault(text, []).append(model)
    return "; ".join(f"{' and '.join(names)}: {text}" for text, names in of_recipe.items())


def _seconds(name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """Mean training time of a model, and the mean time of start and encoding before it."""
    training = np.mean([run["train_seconds"] for run in runs])
    total = np.mean([run["with_preparation_seconds"] for run in runs])
    return f"{name} {training:.0f} training after {total - training:.0f} of preparation"


def _rows(results: Mapping[str, Any]) -> list[Row]:
    """Every scored mask, in the order of the tables."""
    rows: list[Row] = []
    for run in results["runs"].values():
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


def _has_lesions(rows: Sequence[Row]) -> bool:
    """Whether lesions were counted; results of older versions have no such scores."""
    return all("lesion_f1" in scores for _, _, scores in rows)


def _lesion_f1(cases: Sequence[Mapping[str, Any]]) -> str:
    """Mean lesion-wise F1 over cases and labels."""
    return _score(np.mean([list(case["lesion_f1"].values()) for case in cases]))


def _summary_table(rows: Sequence[Row]) -> list[str]:
    labels, lesions = list(rows[0][2]["dsc"]), _has_lesions(rows)
    head = ["mean over cases", *(f"{label} DSC" for label in labels), "mean DSC", "worst DSC",
            *(["lesion F1"] if lesions else []), "mIoU", "mIoU with background"]  # fmt: skip
    body = []
    for method, scores in _by_method(rows).items():
        per_label = [[case["dsc"][label] for case in scores] for label in labels]
        body.append([
            method,
            *(_score(np.mean(values)) for values in per_label),
            _score(np.mean(per_label)),
            _score(np.min(per_label)),
            *([_lesion_f1(scores)] if lesions else []),
            _score(np.mean([case["miou"] for case in scores])),
            _score(np.mean([case["miou_with_background"] for case in scores])),
        ])  # fmt: skip
    return _table(head, body)


def _case_table(rows: Sequence[Row]) -> list[str]:
    labels, lesions = list(rows[0][2]["dsc"]), _has_lesions(rows)
    head = ["case", "method", *(f"{label} DSC / IoU" for label in labels),
            *(["lesion F1"] if lesions else []), "mIoU", "mIoU with background"]  # fmt: skip
    body = [
        [
            study,
            method,
            *(f"{_score(scores['dsc'][n])} / {_score(scores['iou'][n])}" for n in labels),
            *([_lesion_f1([scores])] if lesions else []),
            _score(scores["miou"]),
            _score(scores["miou_with_background"]),
        ]
        for method, study, scores in sorted(rows, key=lambda row: row[1])
    ]
    return ["<details><summary>Each case</summary>", "", *_table(head, body), "", "</details>"]


def _plots(results: Mapping[str, Any], rows: Sequence[Row], docs: Path) -> list[str]:
    target = results["target"]
    scores = {
        method: [float(np.mean(list(case["dsc"].values()))) for case in cases]
        for method, cases in _by_method(rows).items()
        if "untrained" not in method
    }
    title = f"{target}: mean DSC of each scored case"
    save_png(spread_by_method(scores, title=title), docs / "images" / f"{target}.png")
    zeus = next(run for run in results["runs"].values() if run["model"] == "Zeus")
    curve = [CurvePoint(e["number"], e["loss"], e["score"]) for e in zeus["epochs"]]
    save_png(training_curve(curve), docs / "images" / f"{target}-training.png")
    return [
        f"![DSC of each case on {target}](images/{target}.png)",
        "",
        f"![training of Zeus on {target}, first fold](images/{target}-training.png)",
        "",
        _times(results),
        "",
    ]


def _times(results: Mapping[str, Any]) -> str:
    zeus = [run for run in results["runs"].values() if run["model"] == "Zeus"]
    # Studies that later folds score were encoded for the training of the first fold.
    phases = {
        "first request": ("before", zeus[:1]),
        "with cached embeddings and instructions": ("after", zeus),
    }
    parts = []
    for title, (phase, runs) in phases.items():
        cases = [case for run in runs for case in run["cases"] if case["phase"] == phase]
        if cases:
            seconds = np.median([case["seconds"] for case in cases])
            parts.append(f"{title} {seconds:.1f} s")
    return f"One study through the server, median: {'; '.join(parts)}."


def _exchanged(scores: Mapping[str, Sequence[float]]) -> str:
    named, trained = (float(np.mean(scores[key])) for key in ("named", "trained"))
    return (
        "The server was asked for each label by the name of the next label; nothing else changed."
        f" Mean DSC with the named label {_score(named)}, with the label trained in that place"
        f" {_score(trained)}."
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


def _score(value: float) -> str:
    return f"{float(value):.3f}"
