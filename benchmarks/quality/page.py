"""The tables of docs/quality.md: every idea, screened and cross-validated."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pages import replace_between_marks, table
from benchmarks.quality.figures import Summary, dsc_by_case, gain, summarise
from benchmarks.quality.runs import Run, describe
from zeus_app.commands.real.plans import PLANS
from zeus_app.server.lifecycle.server_command import CHECKOUT

PAGE = CHECKOUT / "docs" / "quality.md"
Place = tuple[str, float, int]
"""(target, seconds, patients): runs that are compared in one table."""
Ideas = Mapping[str, Mapping[str, str]]
"""Name -> "against" and "verdict", each optional."""


def write_page(content: Mapping[str, Any]) -> None:
    """Write every table between its marks."""
    replace_between_marks(PAGE, "ideas", "\n".join(ideas_table(content)) or "No run yet.")
    replace_between_marks(PAGE, "figures", figures_text(content) or "No run yet.")


def ideas_table(content: Mapping[str, Any]) -> list[str]:
    """One row per idea and target: its command, and the verdict."""
    ideas: Ideas = content["ideas"]
    newest = {(run["idea"], run["target"]): run for run in content["runs"]}
    rows = [
        [
            name,
            target,
            ideas.get(name, {}).get("against", ""),
            f"`{_command(run)}`",
            run["code"],
            ideas.get(name, {}).get("verdict", ""),
        ]
        for (name, target), run in newest.items()
    ]
    head = ["idea", "target", "compared with", "command", "code", "verdict"]
    return table(head, rows) if rows else []


def _command(run: Run) -> str:
    """The command of an idea, without the options for folds, seeds, time and patients."""
    options = describe(run["settings"], run["recipe"]) if run["settings"] or run["recipe"] else ""
    command = f"python -m benchmarks.quality {run['target']} --name '{run['idea']}' {options}"
    return command.rstrip()


def figures_text(content: Mapping[str, Any]) -> str:
    """The figures of each target, time and number of patients."""
    groups: dict[Place, list[Run]] = {}
    for run in content["runs"]:
        place = (run["target"], run["seconds"], run["patients"])
        groups.setdefault(place, []).append(run)
    parts = [_group(place, groups[place], content["ideas"]) for place in sorted(groups)]
    return "\n\n".join(parts)


def _group(place: Place, runs: Sequence[Run], ideas: Ideas) -> str:
    target, seconds, patients = place
    learnt = f"{patients} training patient(s)" if patients else "all training patients of the fold"
    by_idea: dict[str, list[Run]] = {}
    for run in runs:
        by_idea.setdefault(run["idea"], []).append(run)
    screened = {name: [run for run in of if _is_screening(run)] for name, of in by_idea.items()}
    validated = {name: of for name, of in by_idea.items() if not all(map(_is_screening, of))}
    lines = [f"### {target}, {seconds:g} s, {learnt}", ""]
    if any(screened.values()):
        lines += ["Screening: fold 0, seed 0.", "", *_table(target, screened, ideas), ""]
    if validated:
        folds = len(PLANS[target].folds) if target in PLANS else 0
        lines += [f"Cross-validation: {folds} folds.", "", *_table(target, validated, ideas), ""]
    lines += _subsets(by_idea)
    return "\n".join([*lines, *_cases(by_idea)])


def _is_screening(run: Run) -> bool:
    return (run["fold"], run["seed"]) == (0, 0)


def _table(target: str, by_idea: Mapping[str, Sequence[Run]], ideas: Ideas) -> list[str]:
    """One row per idea with runs."""
    lesions = target in PLANS and PLANS[target].lesions
    head = ["idea", "folds", "seeds", "mean DSC", "gain", "worst DSC", "lesion F1", "HD95, mm",
            "steps", "s a step", "peak MiB"]  # fmt: skip
    rows = []
    for name, runs in by_idea.items():
        if runs:
            others = by_idea.get(ideas.get(name, {}).get("against", ""), [])
            rows.append([name, *_cells(summarise(runs), gain(runs, others))])
    shown = [column for column in range(len(head)) if lesions or head[column] != "lesion F1"]
    head, *rows = [[row[column] for column in shown] for row in (head, *rows)]
    return table(head, rows)


def _cells(summary: Summary, difference: tuple[float, int] | None) -> list[str]:
    spread = "" if summary.spread is None else f" ± {summary.spread:.3f}"
    empty = f" ({summary.empty} empty)" if summary.empty else ""
    return [
        str(summary.folds),
        str(summary.seeds),
        f"{summary.mean:.3f}{spread}",
        "" if difference is None else f"{difference[0]:+.3f}",
        f"{summary.worst:.3f} ({summary.worst_place})",
        f"{summary.lesion_f1:.3f}",
        ("" if summary.hd95_mm is None else f"{summary.hd95_mm:.1f}") + empty,
        f"{summary.steps:.0f}",
        "" if summary.step_s is None else f"{summary.step_s:.2f}",
        "" if summary.peak_mib is None else f"{summary.peak_mib:.0f}",
    ]


def _subsets(by_idea: Mapping[str, Sequence[Run]]) -> list[str]:
    """Mean DSC with every subset of the sequences, one column per idea."""
    judged = {name: runs for name, runs in by_idea.items() if any(r["subsets"] for r in runs)}
    if not judged:
        return []
    names = dict.fromkeys(s for runs in judged.values() for run in runs for s in run["subsets"])
    rows = [
        [subset or "all sequences", *(_mean_of(runs, subset) for runs in judged.values())]
        for subset in [*names, ""]
    ]
    title = "The same models, judged with some of the sequences, mean DSC:"
    return [title, "", *table(["sequences", *judged], rows), ""]


def _mean_of(runs: Sequence[Run], subset: str) -> str:
    values = dsc_by_case([run for run in runs if run["subsets"]], subset).values()
    return f"{sum(values) / len(values):.3f}" if values else ""


def _cases(by_idea: Mapping[str, Sequence[Run]]) -> list[str]:
    """Mean DSC over labels and seeds, one row per idea and one column per case."""
    scores = {name: dsc_by_case(runs) for name, runs in by_idea.items()}
    names = sorted({case for by_case in scores.values() for case in by_case})
    rows = [
        [name, *(f"{by_case[case]:.3f}" if case in by_case else "" for case in names)]
        for name, by_case in scores.items()
    ]
    return ["<details><summary>Each case</summary>", "", *table(["idea", *names], rows), "",
            "</details>"]  # fmt: skip
