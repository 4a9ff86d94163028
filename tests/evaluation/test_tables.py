"""Scores become rows and statistics; the figures are worked out by hand."""

import csv
import json
import statistics
from pathlib import Path

import numpy as np
import pytest

from zeus_app.errors import InputError
from zeus_app.evaluation.compare import CaseScores, Scores, Structure, label_of, structures_of
from zeus_app.evaluation.tables import Evaluation, check_free, write_results
from zeus_app.metrics import LesionCounts, miou
from zeus_app.targets import load_target

LESION, CYST = structures_of(load_target("phantom"))
WHOLE = Structure("whole", (1, 2), "group")


def scores(dsc: float, hd95_mm: float | None = 2.0) -> Scores:
    return Scores(dsc, dsc / 2, hd95_mm, LesionCounts(2, 1, 1), 1.5, 2.5)


EVALUATION = Evaluation(
    cases=(
        CaseScores("a", {LESION: scores(0.9), CYST: scores(0.5), WHOLE: scores(0.8)}),
        CaseScores("b", {LESION: scores(0.6, None), CYST: scores(0.0, 9.0), WHOLE: scores(0.2)},
                   ("resampled",)),
        CaseScores("c", {LESION: scores(0.3)}),
    ),
    structures=(LESION, CYST, WHOLE),
    left_out={"p9.nii.gz": "no partner"},
)  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_there_is_a_row_for_each_case_and_label(tmp_path: Path) -> None:
    write_results(EVALUATION, tmp_path)
    table = rows(tmp_path / "scores.csv")
    assert [(row["case"], row["kind"], row["label"]) for row in table] == [
        (case, kind, label)
        for case in "abc"
        for kind, label in (("label", "lesion"), ("label", "cyst"), ("group", "whole"))
    ]
    assert table[3] == {
        "case": "b", "kind": "label", "label": "lesion", "dsc": "0.6", "iou": "0.3",
        "case_miou": "0.15", "hd95_mm": "", "lesion_f1": "0.666667", "lesions_found": "2",
        "lesions_missed": "1", "lesions_false": "1", "mask_ml": "1.5", "truth_ml": "2.5",
        "notes": "resampled",
    }  # fmt: skip
    assert table[7]["dsc"] == "1"  # neither label map of case c shows a cyst
    assert table[7]["hd95_mm"] == ""


def test_the_summary_has_mean_sd_and_median_of_each_score(tmp_path: Path) -> None:
    write_results(EVALUATION, tmp_path)
    table = {(row["kind"], row["label"], row["score"]): row
             for row in rows(tmp_path / "summary.csv")}  # fmt: skip
    lesion = table["label", "lesion", "dsc"]
    assert float(lesion["mean"]) == pytest.approx(0.6)
    assert float(lesion["sd"]) == pytest.approx(statistics.stdev([0.9, 0.6, 0.3]))
    assert float(lesion["median"]) == pytest.approx(0.6)
    assert lesion["cases"] == "3"
    distance = table["label", "lesion", "hd95_mm"]
    assert (distance["cases"], distance["mean"], distance["sd"]) == ("2", "2", "0")
    of_cases = table["case", "all labels", "miou"]
    # a: (0.45 + 0.25) / 2, b: 0.3 / 2, c: (0.15 + 1) / 2; groups do not count
    assert float(of_cases["mean"]) == pytest.approx((0.35 + 0.15 + 0.575) / 3)


def test_the_miou_of_a_case_is_that_of_the_metrics() -> None:
    mask, truth = np.array([1, 1, 0, 0, 2]), np.array([0, 1, 1, 2, 2])
    ious = [1 / 3, 1 / 2]
    case = CaseScores("a", {
        label_of(value): Scores(0, iou, None, LesionCounts(0, 0, 0), 0, 0)
        for value, iou in zip((1, 2), ious, strict=True)
    })  # fmt: skip
    structures = (label_of(1), label_of(2), label_of(3))
    evaluation = Evaluation((case,), structures, {})
    assert evaluation.miou(case) == pytest.approx(miou(mask, truth, (1, 2, 3)))


def test_a_score_that_no_case_has_has_no_mean(tmp_path: Path) -> None:
    case = CaseScores("a", {LESION: scores(0.0, None)})
    write_results(Evaluation((case,), (LESION,), {}), tmp_path)
    (row,) = (row for row in rows(tmp_path / "summary.csv") if row["score"] == "hd95_mm")
    assert (row["cases"], row["mean"], row["median"]) == ("0", "", "")
    (row,) = (row for row in rows(tmp_path / "summary.csv") if row["score"] == "dsc")
    assert (row["cases"], row["mean"], row["sd"]) == ("1", "0", "")


def test_the_json_holds_the_same_and_the_plot_is_a_png(tmp_path: Path) -> None:
    paths = write_results(EVALUATION, tmp_path / "new" / "folder", with_json=True)
    assert [path.name for path in paths] == [
        "scores.csv", "summary.csv", "scores.png", "scores.json",
    ]  # fmt: skip
    content = json.loads(paths[-1].read_text(encoding="utf-8"))
    assert content["cases"][1]["hd95_mm"] == 2
    assert content["cases"][3]["hd95_mm"] is None
    assert content["left_out"] == {"p9.nii.gz": "no partner"}
    assert len(content["summary"]) == 3 * 6 + 1
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_a_name_that_spreadsheets_take_for_a_formula_is_text(tmp_path: Path) -> None:
    label = Structure("=1+1", (1,))
    write_results(Evaluation((CaseScores("a", {label: scores(1)}),), (label,), {}), tmp_path)
    assert rows(tmp_path / "scores.csv")[0]["label"] == "'=1+1"


def test_older_results_are_found_before_they_are_overwritten(tmp_path: Path) -> None:
    check_free(tmp_path / "none", with_json=True)
    write_results(EVALUATION, tmp_path)
    with pytest.raises(InputError, match=r"scores\.csv, summary\.csv, scores\.png"):
        check_free(tmp_path, with_json=True)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is no folder"):
        check_free(tmp_path / "file", with_json=False)
