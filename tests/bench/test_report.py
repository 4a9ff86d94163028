"""The files of a suite's results, and the part of a page."""

from pathlib import Path

import numpy as np
import pytest

from tests.bench.rows import a_row, a_suite, scores, stored
from zeus_app.bench.jobs import plan
from zeus_app.bench.report import write_report
from zeus_app.bench.row import Rows, failed_row
from zeus_app.errors import InputError

CASES = {name: scores(dsc, 0.5, patient=name) for name, dsc in (("a", 0.8), ("b", 0.6))}


def test_tables_and_plots_lie_beside_the_rows(tmp_path: Path) -> None:
    suite = a_suite()
    stored(suite, tmp_path, [CASES, CASES])
    written = write_report(suite, tmp_path)
    assert sorted(path.name for path in written) == [
        "p-bars.png", "p-curves.png", "p-parameters.png", "table.csv", "table.md", "table.tex",
    ]  # fmt: skip
    assert {path.parent for path in written} == {tmp_path / "tiny"}
    assert r"\usepackage{booktabs}" in (tmp_path / "tiny" / "table.tex").read_text()


def test_the_page_tells_the_command_the_figures_and_what_was_not_run(tmp_path: Path) -> None:
    suite = a_suite()
    rows = stored(suite, tmp_path, [CASES])
    rows.put(failed_row(plan(suite)[1], "no memory", 3.0))
    write_report(suite, tmp_path)
    text = (tmp_path / "tiny" / "table.md").read_text()
    assert "Command: `zeus bench run tiny`, then `zeus bench table tiny`. 1 jobs, 2 min" in text
    assert "Code: abc1234. Machine: CPU X, 2 threads." in text
    assert "### Fusions" in text
    assert "| quick, early | 2 | 70.00 [60.00, 80.00] |" in text
    assert "- MISSFormer: too large." in text
    assert "- `p-quick-late-fold0-seed0`: no memory." in text


def test_the_part_of_a_page_between_the_marks_is_replaced(tmp_path: Path) -> None:
    suite, page = a_suite(), tmp_path / "docs" / "benchmark.md"
    stored(suite, tmp_path, [CASES, CASES])
    page.parent.mkdir()
    page.write_text("# Benchmark\n\n<!-- tiny: begin -->\nold\n<!-- tiny: end -->\n\nEnd.\n")
    write_report(suite, tmp_path, page)
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("# Benchmark\n\n<!-- tiny: begin -->\n\nCommand:")
    assert text.endswith("<!-- tiny: end -->\n\nEnd.\n")
    assert "![Fusions: bars](images/bench-tiny-p-bars.png)" in text
    assert (page.parent / "images" / "bench-tiny-p-bars.png").exists()


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    suite, page = a_suite(), tmp_path / "benchmark.md"
    stored(suite, tmp_path, [CASES])
    page.write_text("# Benchmark\n")
    with pytest.raises(InputError, match="tiny: begin"):
        write_report(suite, tmp_path, page)


def test_without_a_finished_job_there_is_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="zeus bench run tiny"):
        write_report(a_suite(), tmp_path)


def test_subsets_of_the_sequences_have_a_table_of_their_own(tmp_path: Path) -> None:
    suite = a_suite(every_subset=True)
    row = a_row(plan(suite)[0], CASES, subsets={"T2": {"a": scores(0.4, 0)}})
    Rows(tmp_path / "tiny").put(row)
    write_report(suite, tmp_path)
    text = (tmp_path / "tiny" / "table.md").read_text()
    assert "| sequences | quick, early | quick, late |" in text
    assert "| T2 | 40.00 |  |" in text
    assert "| all | 70.00 |  |" in text


def test_panels_of_judged_cases_are_drawn_if_asked_and_never_go_into_a_page(
    tmp_path: Path,
) -> None:
    suite = a_suite()
    stored(suite, tmp_path, [CASES, CASES])
    picture = np.zeros((256, 256), np.uint8)
    for job in plan(suite):
        path = tmp_path / "tiny" / "pictures" / job.id / "a.npz"
        path.parent.mkdir(parents=True)
        np.savez_compressed(path, picture=picture, truth=picture, mask=picture)
    written = write_report(suite, tmp_path, pictures=True)
    assert tmp_path / "tiny" / "panels" / "p-a.png" in written
    assert "panels" not in (tmp_path / "tiny" / "table.md").read_text()
