"""The scores of all cases as rows, statistics and files."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.evaluation.compare import CaseScores, Scores, Structure
from zeus_app.reporting.pictures import save_png
from zeus_app.reporting.plots import Panel, spread_by_label
from zeus_app.settings.file_names import readable
from zeus_app.storage.atomic import write_text_atomically

SCORES_CSV, SUMMARY_CSV = "scores.csv", "summary.csv"
SCORES_PNG, SCORES_JSON = "scores.png", "scores.json"
MIOU = "miou"

Value = str | int | float | None
Row = dict[str, Value]

_SCORES: Mapping[str, Callable[[Scores], float | None]] = {
    "dsc": lambda scores: scores.dsc,
    "iou": lambda scores: scores.iou,
    "hd95_mm": lambda scores: scores.hd95_mm,
    "lesion_f1": lambda scores: scores.lesions.f1,
    "mask_ml": lambda scores: scores.mask_ml,
    "truth_ml": lambda scores: scores.truth_ml,
}


@dataclass(frozen=True)
class Statistic:
    """One score of one label over the cases.

    Attributes:
        kind: "label", "group", or "case" for the mean over labels.
        label: name of the label or group.
        score: name of the score.
        cases: number of cases that have it.
        mean, median: None without a case.
        sd: the standard deviation of a sample (n - 1); None for fewer than two cases.
    """

    kind: str
    label: str
    score: str
    cases: int
    mean: float | None
    sd: float | None
    median: float | None


@dataclass(frozen=True)
class Evaluation:
    """The scores of all cases.

    Attributes:
        cases: the cases that could be compared.
        structures: the labels and groups, in the order of the tables.
        left_out: file or case -> why it was not compared.
    """

    cases: Sequence[CaseScores]
    structures: Sequence[Structure]
    left_out: Mapping[str, str]

    def miou(self, case: CaseScores) -> float:
        """Mean IoU of a case over the labels; groups do not count. Two empty masks score 1."""
        ious = [case.of(one).iou for one in self.structures if one.kind == "label"]
        return float(np.mean(ious)) if ious else 1.0

    def values(self, structure: Structure, score: str) -> list[float]:
        """A score of a label in each case that has it."""
        found = (_SCORES[score](case.of(structure)) for case in self.cases)
        return [value for value in found if value is not None]

    def rows(self) -> list[Row]:
        """One row for each case and each label."""
        return [self._row(case, one) for case in self.cases for one in self.structures]

    def _row(self, case: CaseScores, structure: Structure) -> Row:
        scores = case.of(structure)
        return {
            "case": case.case,
            "kind": structure.kind,
            "label": structure.name,
            "dsc": scores.dsc,
            "iou": scores.iou,
            "case_miou": self.miou(case),
            "hd95_mm": scores.hd95_mm,
            "lesion_f1": scores.lesions.f1,
            "lesions_found": scores.lesions.found,
            "lesions_missed": scores.lesions.missed,
            "lesions_false": scores.lesions.false,
            "mask_ml": scores.mask_ml,
            "truth_ml": scores.truth_ml,
            "notes": "; ".join(case.notes),
        }

    def statistics(self) -> list[Statistic]:
        """Mean, SD and median of each score of each label; and of the cases' mIoU."""
        of_labels = [
            _statistic(one.kind, one.name, score, self.values(one, score))
            for one in self.structures
            for score in _SCORES
        ]
        of_cases = [self.miou(case) for case in self.cases]
        return [*of_labels, _statistic("case", "all labels", MIOU, of_cases)]


def check_free(folder: Path, *, with_json: bool) -> None:
    """Refuse a folder that holds results already, before hours of work are lost.

    Raises:
        InputError: it holds results, or it is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"{readable(folder)} is no folder",
            expected="a folder for the results",
            remedy="choose another one with -o",
        )
    here = [name for name in _names(with_json=with_json) if (folder / name).exists()]
    if here:
        raise InputError(
            f"{readable(folder)} holds {', '.join(here)} already",
            expected="a folder without results",
            remedy="choose another one with -o, or replace these files with --force",
        )


def write_results(
    evaluation: Evaluation, folder: Path, *, with_json: bool = False
) -> tuple[Path, ...]:
    """Write scores.csv, summary.csv, scores.png and, if asked for, scores.json.

    Args:
        evaluation: the scores of at least one case, with at least one label.
        folder: the folder; made if it is missing. Files of these names are replaced.
        with_json: whether to write the JSON.

    Returns:
        The files.
    """
    paths = tuple(folder / name for name in _names(with_json=with_json))
    rows, statistics = evaluation.rows(), [vars(one) for one in evaluation.statistics()]
    write_text_atomically(paths[0], _csv(rows))
    write_text_atomically(paths[1], _csv(statistics))
    save_png(spread_by_label(_panels(evaluation), title=f"{len(evaluation.cases)} cases"), paths[2])
    if with_json:
        content = {"cases": rows, "summary": statistics, "left_out": dict(evaluation.left_out)}
        write_text_atomically(paths[3], json.dumps(content, indent=1))
    return paths


def _names(*, with_json: bool) -> tuple[str, ...]:
    return (SCORES_CSV, SUMMARY_CSV, SCORES_PNG, *((SCORES_JSON,) if with_json else ()))


def _statistic(kind: str, label: str, score: str, values: Sequence[float]) -> Statistic:
    return Statistic(
        kind,
        label,
        score,
        cases=len(values),
        mean=float(np.mean(values)) if values else None,
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        median=float(np.median(values)) if values else None,
    )


def _panels(evaluation: Evaluation) -> list[Panel]:
    def scores(name: str) -> dict[str, list[float]]:
        kinds = [(one, one.kind == "group") for one in evaluation.structures]
        return {
            f"{one.name} (group)" if is_group else one.name: evaluation.values(one, name)
            for one, is_group in kinds
        }

    return [
        Panel("DSC", scores("dsc")),
        Panel("lesion-wise F1", scores("lesion_f1")),
        Panel("HD95, mm", scores("hd95_mm"), top=None),
    ]


def _csv(rows: Sequence[Mapping[str, Value]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Value) -> str:
    """A value as text: six digits of a number; no text that a spreadsheet takes for a formula."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@")) else value
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
