"""The history of clicks: by user, by study, and in voxels of the image that the client shows."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeus_app.prompts.types import StudyPrompt
from zeus_app.server.interactive.click_history import (
    ClickedImage,
    ClickHistory,
    Step,
    steps_after,
)
from zeus_app.server.interactive.click_request import read_click_request
from zeus_app.targets import load_target
from zeus_app.types import Grid

PHANTOM = load_target("phantom")  # labels lesion and cyst
GRIDS = {
    "T2": Grid((24, 20, 6), np.diag([1.0, 1.0, 3.0, 1.0])),
    # Half as fine in plane, its voxel (0, 0, 0) centred on T2's (10, 4, 1).
    "FLAIR": Grid((7, 8, 5), np.array([[2, 0, 0, 10], [0, 2, 0, 4], [0, 0, 3, 3], [0, 0, 0, 1.0]])),
}
ON_T2 = ClickedImage("T2", tuple(GRIDS), GRIDS.__getitem__)
ON_FLAIR = replace(ON_T2, sequence="FLAIR")


def after(steps: list[Step], image: ClickedImage = ON_T2, **request: Any) -> list[Step]:
    return steps_after(steps, read_click_request(request, PHANTOM), image)


def test_lists_of_points_replace_the_earlier_points() -> None:
    steps = after(after([], foreground=[[1, 1, 1]]), foreground=[[1, 1, 1], [2, 2, 2]])
    assert steps[-1].labels["lesion"].foreground == ((1, 1, 1), (2, 2, 2))


def test_refine_adds_to_the_earlier_points() -> None:
    steps = after(after([], foreground=[[1, 1, 1]]), background=[[2, 2, 2]], refine=True)
    assert steps[-1].labels["lesion"] == StudyPrompt(((1, 1, 1),), ((2, 2, 2),))


def test_undo_takes_the_newest_step_back_and_reset_all_of_them() -> None:
    steps = after(after([], foreground=[[1, 1, 1]]), foreground=[[2, 2, 2]], refine=True)
    assert after(steps, undo=True) == steps[:1]
    assert after(steps, reset=True) == []


def test_a_reset_with_points_begins_a_new_history_with_them() -> None:
    steps = after([], foreground=[[1, 1, 1]])
    assert after(steps, reset=True, foreground=[[2, 2, 2]]) == after([], foreground=[[2, 2, 2]])


@pytest.mark.parametrize(
    ("mode", "deprecated"),
    [("add", {"refine": True}), ("undo", {"undo": True}), ("reset", {"reset_state": True})],
)
def test_a_mode_does_the_same_as_its_deprecated_flag(mode: str, deprecated: dict[str, Any]) -> None:
    steps = after(after([], foreground=[[1, 1, 1]]), background=[[4, 4, 4]], refine=True)
    points: dict[str, Any] = {"foreground": [[2, 2, 2]]}
    assert after(steps, mode=mode, **points) == after(steps, **deprecated, **points)


def test_undo_of_nothing_is_nothing() -> None:
    assert after([], undo=True) == []


def test_empty_lists_take_everything_back_and_undo_brings_it_again() -> None:
    steps = after([], foreground=[[1, 1, 1]])
    cleared = after(steps, foreground=[], background=[])
    assert cleared[-1].labels == {}
    assert after(cleared, undo=True) == steps


def test_a_request_without_lists_changes_no_point() -> None:
    steps = after([], foreground=[[1, 1, 1]])
    assert after(steps, sequences="T2") == steps


@pytest.mark.parametrize("refine", [False, True])
def test_a_request_that_comes_twice_is_one_step(refine: bool) -> None:
    steps = after([], foreground=[[1, 1, 1]], refine=refine)
    assert after(steps, foreground=[[1, 1, 1]], refine=refine) == steps


def test_refining_on_another_sequence_leaves_the_earlier_clicks_in_place() -> None:
    """T2's voxel (14, 10, 3) is 14, 10 and 9 mm from its origin: FLAIR's (2, 3, 2)."""
    steps = after([], foreground=[[14, 10, 3]])
    step = after(steps, ON_FLAIR, foreground=[[5, 1, 2]], refine=True)[-1]
    assert step.sequence == "FLAIR"
    assert step.labels["lesion"].foreground == ((2, 3, 2), (5, 1, 2))


def test_a_step_on_a_sequence_that_is_gone_is_forgotten() -> None:
    steps = [*after([], foreground=[[1, 1, 1]]), Step({}, "PD")]
    assert after(steps, undo=True) == []


def at(steps: list[Step], **request: Any) -> Any:
    return after(steps, **request)[-1].at


def test_the_newest_click_is_the_one_that_is_new() -> None:
    """A client that sends all points again lists clicks by kind, not by time."""
    steps = after([], foreground=[[1, 1, 2]])
    assert at(steps, foreground=[[1, 1, 2]], background=[[3, 3, 4]]) == (3, 3, 4)
    assert at(steps, background=[[3, 3, 4]], refine=True) == (3, 3, 4)


def test_after_an_undo_the_slice_is_the_one_answered_then() -> None:
    steps = after([], background=[[5, 5, 1]], foreground=[[1, 1, 2]])
    steps = after(steps, background=[[3, 3, 4]], refine=True)
    assert after(steps, undo=True)[-1].at == (1, 1, 2)


def test_a_slice_that_was_named_counts_for_one_request() -> None:
    steps = after([], foreground=[[1, 1, 2]], slice=5)
    assert steps[-1].at == (11.5, 9.5, 5)
    assert at(steps, foreground=[[4, 4, 3]], refine=True) == (4, 4, 3)


def test_a_box_is_answered_in_its_middle_slice_unless_one_inside_is_named() -> None:
    """3D Slicer names the distance in mm for a ROI alone, here beyond the last slice."""
    roi = [2, 9, 4, 8, 1, 5]
    assert at([], roi=roi) == (5.5, 6, 3)
    assert at([], roi=roi, slice=60) == (5.5, 6, 3)
    assert at([], roi=roi, slice=0) == (5.5, 6, 3)
    assert at([], roi=roi, slice=2) == (5.5, 6, 2)


def test_a_box_is_cut_at_the_edge_of_the_image() -> None:
    (step,) = after([], roi=[40, 20, -5, 8, 4, 9])
    assert step.labels["lesion"].box == ((20, 0, 4), (23, 8, 5))
    assert step.at == (21.5, 4, 4.5)


@pytest.mark.parametrize(
    "roi", [[9, 2, 4, 8, 3, 3], [2.5, 9.25, 4, 8, 3, 3], [-0.4, 9, 4, 8, 0, 0]]
)
def test_a_box_inside_the_image_stays_as_it_was_sent(roi: list[float]) -> None:
    (step,) = after([], roi=roi)
    box = step.labels["lesion"].box
    assert box is not None
    np.testing.assert_allclose(np.ravel(box), np.clip([*roi[0::2], *roi[1::2]], 0, None))


def test_a_click_again_on_an_earlier_voxel_is_the_newest() -> None:
    steps = after([], foreground=[[1, 1, 2]])
    steps = after(steps, foreground=[[3, 3, 4]], mode="add")
    again = after(steps, foreground=[[1, 1, 2]], mode="add")
    assert again[-1].labels["lesion"].foreground == ((3, 3, 4), (1, 1, 2))
    assert again[-1].at == (1, 1, 2)


def test_a_click_again_after_a_named_slice_is_answered_on_its_own_slice() -> None:
    steps = after([], foreground=[[1, 1, 2]], slice=5)
    assert at(steps, foreground=[[1, 1, 2]], mode="add") == (1, 1, 2)


@pytest.mark.parametrize(
    ("first", "then"), [("foreground", "background"), ("background", "foreground")]
)
def test_of_a_voxel_clicked_as_inside_and_outside_the_newest_click_counts(
    first: str, then: str
) -> None:
    earlier: dict[str, Any] = {first: [[1, 1, 1], [2, 2, 2]]}
    later: dict[str, Any] = {then: [[1, 1, 1]], "mode": "add"}
    prompt = after(after([], **earlier), **later)[-1].labels["lesion"]
    assert getattr(prompt, first) == ((2, 2, 2),)
    assert getattr(prompt, then) == ((1, 1, 1),)


def append(history: ClickHistory, study: str = "a", **request: Any) -> int:
    return history.append(read_click_request(request, PHANTOM), study, ON_T2)


@pytest.fixture
def history(tmp_path: Path) -> ClickHistory:
    return ClickHistory(tmp_path)


def test_users_and_studies_never_mix(history: ClickHistory) -> None:
    append(history, foreground=[[1, 1, 1]], user="ann")
    append(history, foreground=[[2, 2, 2]], user="bob")
    append(history, study="b", foreground=[[3, 3, 3]], user="ann")
    rows = [history.steps(u, s)[-1].labels["lesion"].foreground[0][0]
             for u, s in (("ann", "a"), ("bob", "a"), ("ann", "b"))]  # fmt: skip
    assert rows == [1, 2, 3]


def test_a_restarted_server_knows_the_steps(tmp_path: Path) -> None:
    append(ClickHistory(tmp_path), foreground=[[1, 1, 1]])
    (step,) = ClickHistory(tmp_path).steps("anonymous", "a")
    assert step == Step({"lesion": StudyPrompt(((1, 1, 1),))}, "T2", (1, 1, 1))


def test_a_history_file_of_version_0_1_opens(history: ClickHistory) -> None:
    """As commit 2ea7737 wrote it, for one click and one box."""
    path = history.uploads_folder("anonymous", "a").with_suffix(".json")
    path.parent.mkdir(parents=True)
    path.write_text(
        '[{"labels": {"lesion": {"foreground": [[1.0, 2.0, 3.0]], "background": [],'
        ' "box": [[0.0, 1.0, 2.0], [3.0, 4.0, 3.0]]}}, "sequence": "T2", "at": [1.0, 2.0, 3.0]}]'
    )
    prompt = StudyPrompt(((1, 2, 3),), (), ((0, 1, 2), (3, 4, 3)))
    assert history.steps("anonymous", "a") == [Step({"lesion": prompt}, "T2", (1, 2, 3))]


def test_a_history_file_keeps_the_fields_of_version_0_1(history: ClickHistory) -> None:
    append(history, foreground=[[1, 2, 3]])
    path = history.uploads_folder("anonymous", "a").with_suffix(".json")
    lesion = {"foreground": [[1.0, 2.0, 3.0]], "background": [], "box": None}
    expected = {"labels": {"lesion": lesion}, "sequence": "T2", "at": [1.0, 2.0, 3.0]}
    assert json.loads(path.read_text()) == [expected]


def test_reset_leaves_no_file(history: ClickHistory, tmp_path: Path) -> None:
    append(history, foreground=[[1, 1, 1]])
    assert append(history, reset=True) == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_damaged_history_file_counts_as_empty(history: ClickHistory) -> None:
    append(history, foreground=[[1, 1, 1]])
    path = history.uploads_folder("anonymous", "a").with_suffix(".json")
    path.write_text(path.read_text()[:-3])
    assert history.steps("anonymous", "a") == []


def test_where_nothing_can_be_written_the_answer_stands_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "clicks").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert append(ClickHistory(tmp_path / "clicks"), foreground=[[1, 1, 1]]) == 1
    assert "clicks on study a are not stored" in caplog.text


def test_studies_that_differ_after_a_dot_share_no_clicks(tmp_path: Path) -> None:
    history = ClickHistory(tmp_path)
    for study, voxel in (("1.2.840.1", 1), ("1.2.840.2", 2), ("1.2.840", 3)):
        request = read_click_request({"foreground": [[voxel] * 3], "user": "ann"}, PHANTOM)
        assert history.append(request, study, ON_T2) == 1
    (step,) = history.steps("ann", "1.2.840.1")
    assert step.labels["lesion"].foreground == ((1, 1, 1),)
