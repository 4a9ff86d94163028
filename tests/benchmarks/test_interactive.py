"""The command line of the benchmark of clicks. Nothing is decoded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.interactive import __main__ as command
from benchmarks.interactive.measure import Plan
from benchmarks.interactive.rows import Rows
from benchmarks.interactive.scenes import Scene
from tests.benchmarks.interactive.conftest import a_volume


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Scene, Plan]]:
    """The scenes that the command measures, each with its plan. Pages are not written."""
    scenes: list[tuple[Scene, Plan]] = []

    def measure(networks: object, scene: Scene, plan: Plan, rows: Rows) -> None:
        scenes.append((scene, plan))

    def one_volume(*_: object, **__: object) -> Iterator[Scene]:
        yield a_volume()

    monkeypatch.setenv("ZEUS_REAL_DATA", str(tmp_path))
    replaced: dict[str, Any] = {
        "RESULTS": tmp_path,
        "measure_scene": measure,
        "open_networks": lambda folder: None,
        "real_studies": lambda folder, target, count: [folder.name] * count,
        "volumes_of": one_volume,
        "phantom_volumes": one_volume,
        "page": lambda rows: "a table",
        "write_page": lambda rows: None,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(command, name, value)
    return scenes


def test_slices_and_volumes_of_four_studies_of_a_target_get_ten_clicks(
    measured: list[tuple[Scene, Plan]],
) -> None:
    assert command.main(["--target", "abdomen"]) == 0
    assert [scene.dimensions for scene, _ in measured] == [2, 2, 3] * 4
    assert {(plan.method, plan.clicks, plan.seed) for _, plan in measured} == {("clicks", 10, 0)}


def test_the_options_say_what_is_measured(measured: list[tuple[Scene, Plan]]) -> None:
    options = "--target prostate --dimensions 3 --clicks 4 --cases 1 --seed 2 --segmenter points"
    assert command.main([*options.split(), "--again"]) == 0
    ((scene, plan),) = measured
    assert (scene.dimensions, plan.method, plan.clicks) == (3, "points", 4)
    assert (plan.seed, plan.again) == (2, True)


def test_a_smoke_run_needs_no_real_mri_and_takes_three_clicks(
    measured: list[tuple[Scene, Plan]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("ZEUS_REAL_DATA")
    assert command.main(["--smoke"]) == 0
    assert {plan.clicks for _, plan in measured} == {3}
    assert "a table" in capsys.readouterr().err


def test_without_real_mri_it_says_that_it_is_skipped(
    measured: list[tuple[Scene, Plan]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("ZEUS_REAL_DATA")
    assert command.main([]) == 0
    assert "SKIPPED" in capsys.readouterr().err
    assert measured == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--target", "abdomne"], "'abdomen'"), (["--segmenter", "click"], "'clicks'")],
)
def test_a_wrong_name_is_answered_with_the_right_one(
    measured: list[tuple[Scene, Plan]],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert command.main(arguments) == 2
    assert f"did you mean {message}" in " ".join(capsys.readouterr().err.split())


def test_no_clicks_are_refused(measured: list[tuple[Scene, Plan]]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--clicks", "0"])
