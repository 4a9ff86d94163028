"""The benchmark's own arithmetic and its made studies; nothing is timed."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.speed import page
from benchmarks.speed.bench import SMOKE, Bench
from benchmarks.speed.figures import AIMS, Figure, NotMeasured, Results
from benchmarks.speed.memory import growth
from benchmarks.speed.profiles import largest, of_functions, of_stages
from benchmarks.speed.synthetic_study import SyntheticStudy, make_study
from benchmarks.speed.timing import alternating, percentile, ratio
from zeus_app.studies.align import align_for
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_study
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import load_target
from zeus_app.types import SliceStack

TARGET = load_target("brain_tumour")


def stack_of(folder: Path, files: SyntheticStudy) -> SliceStack:
    study = find_studies(folder / "studies", TARGET).studies[files.name]
    return slice_stack(align_for(read_study(study), TARGET), TARGET.sequence_names)


@pytest.fixture(scope="module")
def study_and_stack(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyntheticStudy, SliceStack]:
    folder = tmp_path_factory.mktemp("made")
    study = make_study(folder, "study", shape=(48, 48, 30), slices=24, seed=0)
    return study, stack_of(folder, study)


def test_the_made_study_shows_tissue_on_24_slices_of_each_of_four_sequences(
    study_and_stack: tuple[SyntheticStudy, SliceStack],
) -> None:
    study, stack = study_and_stack
    assert stack.tissue.shape == (4, 30)
    assert stack.tissue.sum(axis=1).tolist() == [24, 24, 24, 24]
    assert np.flatnonzero(stack.tissue.all(axis=0)).tolist() == list(study.slices)


def test_no_two_pictures_of_a_made_study_are_the_same(
    study_and_stack: tuple[SyntheticStudy, SliceStack],
) -> None:
    _, stack = study_and_stack
    pictures = stack.pixels[stack.tissue].reshape(96, -1)
    assert len(np.unique(pictures, axis=0)) == 96


def test_a_click_lies_in_the_tumour_and_the_next_one_elsewhere(
    study_and_stack: tuple[SyntheticStudy, SliceStack],
) -> None:
    import nibabel as nib

    study, _ = study_and_stack
    label = np.asarray(nib.load(study.label).dataobj)
    clicks = [tuple(study.click(number)) for number in range(25)]
    assert len(set(clicks)) == 25
    assert all(label[voxel] == 1 for voxel in clicks)


def test_studies_of_other_seeds_share_no_picture(
    tmp_path: Path, study_and_stack: tuple[SyntheticStudy, SliceStack]
) -> None:
    second = make_study(tmp_path, "other", shape=(48, 48, 30), slices=24, seed=1)
    stacks = [stack_of(tmp_path, second), study_and_stack[1]]
    pictures = np.concatenate([stack.pixels[stack.tissue].reshape(96, -1) for stack in stacks])
    assert len(np.unique(pictures, axis=0)) == 2 * 96


def test_a_ratio_is_of_medians() -> None:
    assert ratio([9.0, 1.0, 4.0], [2.0, 100.0, 1.0]) == 2.0


def test_the_95th_percentile_of_200_is_the_190th() -> None:
    assert percentile(list(range(200, 0, -1)), 0.95) == 190


def test_the_95th_percentile_of_one_is_itself() -> None:
    assert percentile([7.0], 0.95) == 7.0


def test_functions_are_timed_in_turn_after_one_untimed_call_each() -> None:
    called: list[str] = []
    durations = alternating(
        {"a": lambda n: called.append(f"a{n}"), "b": lambda n: called.append(f"b{n}")}, repeats=2
    )
    assert called == ["a0", "b0", "a0", "b0", "a1", "b1"]
    assert {name: len(seconds) for name, seconds in durations.items()} == {"a": 2, "b": 2}


def test_growth_compares_the_highest_of_both_halves() -> None:
    assert growth([10, 20, 10, 10, 10, 30, 10, 10, 10, 10]) == 1.5


def test_the_largest_rows_keep_the_sum() -> None:
    rows = largest({str(n): float(n) for n in range(12)}, rows=3)
    assert rows == (("11", 11.0), ("10", 10.0), ("all others", 45.0))


def test_a_profile_of_functions_names_what_took_the_time() -> None:
    rows = of_functions(lambda: time.sleep(0.05))
    assert "sleep" in rows[0][0]
    assert rows[0][1] == pytest.approx(50, abs=40)


def test_stages_and_what_is_outside_them_come_to_the_whole() -> None:
    rows = dict(of_stages({"decode": 300.0, "align": 100.0}, whole_s=0.5))
    assert rows == {"decode": 300.0, "align": 100.0, "reading, writing, HTTP": 100.0}


def test_more_is_better_for_a_speedup_and_less_for_a_cost() -> None:
    speedup, cost = AIMS["click_speedup"], AIMS["click_over_decoder"]
    assert speedup.reached(15)
    assert not speedup.reached(14.9)
    assert cost.reached(1.5)
    assert not cost.reached(1.6)
    assert (speedup.times(30), cost.times(3)) == (2.0, 0.5)


def test_the_page_says_what_was_reached_missed_and_not_measured() -> None:
    rows = page.aims_table([
        Figure("encoder_speedup", 4.5),
        Figure("study_over_encode", 1.42),
        Figure("click_speedup", None, note="the server has no task 'clicks'"),
    ])  # fmt: skip
    by_key = {line.split(":")[0].strip("| "): line for line in rows}
    assert by_key["encoder_speedup"].endswith("| 4.5 | at least 4 | yes |")
    assert by_key["study_over_encode"].endswith("| 1.42 | at most 1.3 | **no** |")
    assert "not measured: the server has no task 'clicks'" in by_key["click_speedup"]
    assert "not measured: not run" in by_key["info_p95_ms_busy"]


def test_a_missed_aim_shows_its_profile_and_the_next_lever() -> None:
    text = page.missed_text([
        Figure("study_over_encode", 2.0, profile=(("encode", 300.0), ("decode", 100.0))),
        Figure("encoder_speedup", 5.0),
    ])  # fmt: skip
    assert "| encode | 300.0 | 75 % |" in text
    assert f"Next lever: {AIMS['study_over_encode'].lever}." in text
    assert "encoder_speedup" not in text


def test_several_repetitions_are_shown_as_their_median_and_range() -> None:
    assert page.in_words([3.0, 1.0, 2.5]) == "2.5 (1 to 3, n=3)"


def test_the_plot_has_a_bar_for_every_figure_with_an_aim_that_was_measured() -> None:
    figures = [Figure("encoder_speedup", 5.0), Figure("others", 3.0), Figure("click_speedup", None)]
    assert len(page.plot(figures).axes[0].patches) == 1


def test_the_page_has_a_place_for_every_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "docs" / "speed.md"
    copy.parent.mkdir()
    copy.write_text(page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", copy)
    monkeypatch.setattr(page, "PLOT", tmp_path / "docs" / "images" / "speed.png")
    page.write_page({"machine": {"cpu": "a CPU"}, "parts": {}}, [Figure("encoder_speedup", 4.5)])
    text = copy.read_text(encoding="utf-8")
    assert "a CPU" in text
    assert "| 4.5 | at least 4 | yes |" in text
    assert (tmp_path / "docs" / "images" / "speed.png").stat().st_size > 0


def test_an_interrupted_run_goes_on_and_a_finished_run_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    first = Results(path)
    first.begin()
    first.put("encoder", [Figure("encoder_speedup", 4.5, {"s": [1.0, 2.0]})], seconds=3)
    resumed = Results(path)
    resumed.begin()
    assert resumed.has("encoder")
    assert not resumed.has("step")
    assert resumed.figures[0].parts == {"s": [1.0, 2.0]}
    resumed.finish()
    next_run = Results(path)
    next_run.begin()
    assert not next_run.has("encoder")


def test_figures_of_other_code_count_as_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    results = Results(path)
    results.put("encoder", [Figure("encoder_speedup", 4.5)], seconds=3)
    content = json.loads(path.read_text())
    content["parts"]["encoder"]["sources"] = "another"
    path.write_text(json.dumps(content))
    assert not Results(path).has("encoder")


def test_a_part_that_cannot_be_measured_says_why_for_each_of_its_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from benchmarks.speed import __main__ as entrance

    class Nothing:
        def close(self) -> None:
            pass

    def refuse(bench: object) -> list[Figure]:
        raise NotMeasured("no such task")

    parts = {"click": (refuse, ("click_over_decoder", "click_speedup"))}
    monkeypatch.setattr(entrance, "PARTS", parts)
    figures = entrance.run_part("click", Nothing())  # type: ignore[arg-type]
    assert [(result.key, result.value, result.note) for result in figures] == [
        ("click_over_decoder", None, "no such task"),
        ("click_speedup", None, "no such task"),
    ]


def test_every_aim_belongs_to_one_part() -> None:
    from benchmarks.speed.__main__ import PARTS

    keys = [key for _, keys in PARTS.values() for key in keys]
    assert set(AIMS) <= set(keys)
    assert len(keys) == len(set(keys))


def test_the_encoder_that_is_measured_is_the_one_that_is_served(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SMOKE, Console(quiet=True))
    assert bench.ours.id.startswith("lite-medsam")
    assert bench.eager.id != bench.ours.id
