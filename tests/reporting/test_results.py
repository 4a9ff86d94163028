"""The results page holds the measured results, and keeps the text around them."""

import json
from pathlib import Path
from typing import Any

from zeus_app.reporting.results import write_results


def scores(lesion: float) -> dict[str, Any]:
    return {
        "dsc": {"lesion": lesion},
        "iou": {"lesion": lesion / 2},
        "miou": lesion / 2,
        "miou_with_background": 0.9,
    }


def a_case(study: str, phase: str, *, seconds: float = 12, **branches: float) -> dict[str, Any]:
    return {
        "study": study,
        "phase": phase,
        "seconds": seconds,
        "scores": {name: scores(value) for name, value in branches.items()},
    }


def a_run(model: str, *cases: dict[str, Any]) -> dict[str, Any]:
    epoch = {"number": 1, "loss": 0.5, "score": None}
    return {
        "model": model,
        "judged": ["p1"],
        "learnt": ["p2", "p3"],
        "epochs": [epoch],
        "train_seconds": 99.0,
        "with_preparation_seconds": 149.0,
        "cases": list(cases),
    }


def measured(folder: Path) -> Path:
    zeus = a_run(
        "Zeus",
        a_case("p1", "before", union=0.1),
        a_case("p1", "after", union=0.8, FLAIR=0.7),
        a_case("p2", "after", union=0.6, FLAIR=0.5),
    )
    done = {
        "target": "ms_lesion",
        "train_s": 100,
        "wall_s": 1200.0,
        "recipes": {
            "Zeus": {"batch_slices": 4, "augment": 1},
            "Zeus on FLAIR alone": {"batch_slices": 4, "augment": 1},
            "U-Net": {"batch_slices": 8},
        },
        "exchanged": {"named": [0.5, 0.7], "trained": [0.0, 0.1]},
        "runs": {"Zeus|0": zeus, "U-Net|0": a_run("U-Net", a_case("p1", "after", union=0.4))},
    }
    (folder / "ms_lesion").mkdir(parents=True)
    (folder / "ms_lesion" / "results.json").write_text(json.dumps(done))
    return folder


def table_row(page: str, name: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_table_holds_means_and_the_worst_score_of_the_cases(tmp_path: Path) -> None:
    page = write_results(measured(tmp_path / "real"), tmp_path / "docs").read_text()
    assert table_row(page, "Zeus") == ["0.700", "0.700", "0.600", "0.350", "0.900"]
    assert table_row(page, "Zeus, FLAIR branch")[1] == "0.600"
    assert table_row(page, "Zeus, untrained")[1] == "0.100"
    assert table_row(page, "U-Net")[1] == "0.400"


def test_lesions_are_shown_where_they_were_counted(tmp_path: Path) -> None:
    path = measured(tmp_path / "real") / "ms_lesion" / "results.json"
    page = write_results(tmp_path / "real", tmp_path / "docs").read_text()
    assert "lesion F1" not in page
    done = json.loads(path.read_text())
    for run in done["runs"].values():
        for case in run["cases"]:
            for counted in case["scores"].values():
                counted["lesion_f1"] = {"lesion": counted["dsc"]["lesion"] - 0.1}
    path.write_text(json.dumps(done))
    page = write_results(tmp_path / "real", tmp_path / "docs").read_text()
    assert "| worst DSC | lesion F1 |" in page
    assert table_row(page, "Zeus") == ["0.700", "0.700", "0.600", "0.600", "0.350", "0.900"]
    assert "| p1 | U-Net | 0.400 / 0.200 | 0.300 | 0.200 | 0.900 |" in page


def test_the_text_around_the_results_stays_and_old_results_go(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    measured_part = "<!-- measured: begin -->\nOLD\n<!-- measured: end -->"
    old = f"# Results\nWhy.\n{measured_part}\nWhat limits it.\n"
    (docs / "results.md").write_text(old)
    page = write_results(measured(tmp_path / "real"), docs).read_text()
    assert page.startswith("# Results\nWhy.\n")
    assert page.endswith("What limits it.\n")
    assert "OLD" not in page


def test_the_page_names_the_command_and_shows_a_plot(tmp_path: Path) -> None:
    page = write_results(measured(tmp_path / "real"), tmp_path / "docs").read_text()
    assert "make real TARGET=ms_lesion" in page
    assert "images/ms_lesion.png" in page
    assert (tmp_path / "docs" / "images" / "ms_lesion.png").read_bytes()[:4] == b"\x89PNG"


def test_the_page_says_which_recipe_each_model_had(tmp_path: Path) -> None:
    path = measured(tmp_path / "real") / "ms_lesion" / "results.json"
    done = json.loads(path.read_text())
    alone = a_run("Zeus on FLAIR alone", a_case("p1", "after", union=0.5))
    path.write_text(json.dumps({**done, "runs": {**done["runs"], "Zeus on FLAIR alone|0": alone}}))
    page = write_results(tmp_path / "real", tmp_path / "docs").read_text()
    assert (
        "Recipes, where they differ from the paper's: Zeus and Zeus on FLAIR alone: batch_slices 4,"
        " augment 1; U-Net: batch_slices 8." in page
    )


def test_only_the_first_fold_counts_as_a_first_request(
    tmp_path: Path,
) -> None:
    path = measured(tmp_path / "real") / "ms_lesion" / "results.json"
    done = json.loads(path.read_text())
    done["runs"]["Zeus|0"]["cases"][0]["seconds"] = 100.0
    done["runs"]["Zeus|1"] = a_run("Zeus", a_case("p2", "before", seconds=10, union=0.1))
    path.write_text(json.dumps(done))
    page = write_results(tmp_path / "real", tmp_path / "docs").read_text()
    assert "first request 100.0 s; with cached embeddings and instructions 12.0 s" in page


def test_the_scores_with_exchanged_names_are_shown(tmp_path: Path) -> None:
    page = write_results(measured(tmp_path / "real"), tmp_path / "docs").read_text()
    assert "named label 0.600, with the label trained in that place 0.050" in page


def test_a_target_that_was_not_measured_again_stays_on_the_page(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    page = write_results(measured(tmp_path / "real"), docs)
    done = json.loads((tmp_path / "real" / "ms_lesion" / "results.json").read_text())
    (tmp_path / "later" / "abdomen").mkdir(parents=True)
    later = json.dumps({**done, "target": "abdomen"})
    (tmp_path / "later" / "abdomen" / "results.json").write_text(later)
    before = page.read_text()
    text = write_results(tmp_path / "later", docs).read_text()
    assert text.index("## abdomen") < text.index("## ms_lesion")
    of_ms_lesion = before[before.index("## ms_lesion") :]
    assert text.endswith(of_ms_lesion)
    assert write_results(tmp_path / "later", docs).read_text() == text
