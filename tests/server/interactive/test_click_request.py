"""Requests as 3D Slicer, OHIF and plain HTTP send them."""

from typing import Any

import numpy as np
import pytest
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from zeus_app.errors import InputError
from zeus_app.prompts.types import StudyPrompt
from zeus_app.server.interactive.click_request import (
    ClickMode,
    ClickRequest,
    read_click_request,
    refuse_outside,
)
from zeus_app.server.routes.roles import logged_in
from zeus_app.targets import load_target
from zeus_app.types import Grid

PHANTOM = load_target("phantom")  # labels lesion and cyst
GRID = Grid((24, 20, 6), np.diag([1.0, 1.0, 3.0, 1.0]))


def read(**request: Any) -> ClickRequest:
    return read_click_request(request, PHANTOM)


def labels(**request: Any) -> Any:
    return read(**request).prompts


def test_deepgrow_sends_points_of_one_label() -> None:
    prompts = labels(foreground=[[1, 2, 3]], background=[[4, 5, 6]], label="cyst")
    assert prompts == {"cyst": StudyPrompt(((1, 2, 3),), ((4, 5, 6),))}


def test_deepedit_sends_points_under_each_labels_name_and_other_labels_are_background() -> None:
    prompts = labels(lesion=[[1, 2, 3]], cyst=[[7, 8, 9]], background=[[4, 5, 6]])
    assert prompts["lesion"] == StudyPrompt(((1, 2, 3),), ((4, 5, 6), (7, 8, 9)))
    assert prompts["cyst"] == StudyPrompt(((7, 8, 9),), ((4, 5, 6), (1, 2, 3)))


def test_without_a_label_the_first_is_meant() -> None:
    assert labels(foreground=[[1, 2, 3]]) == {"lesion": StudyPrompt(((1, 2, 3),))}


def test_slicers_unsorted_box_is_two_corners() -> None:
    assert labels(roi=[9, 2, 4, 8, 3, 3], label="lesion")["lesion"].box == ((9, 4, 3), (2, 8, 3))


def test_a_viewers_rectangle_is_two_corners() -> None:
    assert labels(roi=[[9, 4, 3], [2, 8, 3]])["lesion"].box == ((9, 4, 3), (2, 8, 3))


def test_a_box_belongs_to_the_named_label_and_to_no_other() -> None:
    """As Slicer's SmartEdit sends a ROI beside the points of a deepedit model."""
    roi = [2, 9, 4, 8, 3, 3]
    prompts = labels(lesion=[[5, 6, 3]], cyst=[[7, 8, 3]], background=[], label="cyst", roi=roi)
    assert prompts["cyst"].foreground == ((7, 8, 3),)
    assert prompts["cyst"].box == ((2, 4, 3), (9, 8, 3))
    assert prompts["lesion"] == StudyPrompt(((5, 6, 3),), ((7, 8, 3),))


def test_background_is_a_label_like_any_other_to_deepedit_clients() -> None:
    prompts = labels(lesion=[[1, 2, 3]], cyst=[], background=[[4, 5, 6]], label="background")
    assert prompts == {"lesion": StudyPrompt(((1, 2, 3),), ((4, 5, 6),))}


def test_a_foreground_click_on_the_background_is_a_background_click() -> None:
    prompts = labels(foreground=[[4, 5, 6]], background=[], label="background")
    assert prompts == {"lesion": StudyPrompt((), ((4, 5, 6),))}


@pytest.mark.parametrize(
    "request_",
    [{"foreground": [], "background": []}, {"background": []}, {"lesion": [], "cyst": []}],
)
def test_lists_of_points_replace_the_earlier_points_even_if_empty(
    request_: dict[str, Any],
) -> None:
    assert read(**request_).mode is ClickMode.REPLACE


@pytest.mark.parametrize(
    "request_", [{}, {"foreground": None}, {"prior": "original"}, {"label": "cyst"}]
)
def test_a_request_without_lists_adds_nothing_to_the_earlier_points(
    request_: dict[str, Any],
) -> None:
    request = read(**request_)
    assert (request.mode, request.prompts) == (ClickMode.ADD, {})


@pytest.mark.parametrize("mode", list(ClickMode))
def test_a_mode_is_read_by_its_name(mode: ClickMode) -> None:
    assert read(mode=mode.value, foreground=[[1, 2, 3]]).mode is mode


@pytest.mark.parametrize(
    ("flag", "mode"),
    [
        ("refine", ClickMode.ADD),
        ("undo", ClickMode.UNDO),
        ("reset", ClickMode.RESET),
        ("reset_state", ClickMode.RESET),
    ],
)
@pytest.mark.parametrize("value", ["True", "yes", True, 1])
def test_a_deprecated_flag_is_read_as_its_mode(flag: str, mode: ClickMode, value: object) -> None:
    assert read(**{flag: value, "foreground": [[1, 2, 3]]}).mode is mode


@pytest.mark.parametrize("flag", ["refine", "undo", "reset", "reset_state"])
@pytest.mark.parametrize("value", ["false", "0", "", False, None])
def test_a_flag_that_is_off_changes_nothing(flag: str, value: object) -> None:
    assert read(**{flag: value, "foreground": [[1, 2, 3]]}).mode is ClickMode.REPLACE


def test_a_mode_comes_before_the_deprecated_flags() -> None:
    assert read(mode="add", reset=True).mode is ClickMode.ADD


@pytest.mark.parametrize(("value", "is_on"), [("false", False), ("True", True), (1, True)])
def test_the_use_of_scribbles_is_read_as_monai_label_reads_flags(
    value: object, is_on: bool
) -> None:
    assert read(scribbles=value).use_scribbles is is_on


@pytest.mark.parametrize("name", ["initial_mask", "prior"])
def test_an_initial_mask_is_read_by_its_name_and_by_its_deprecated_name(name: str) -> None:
    assert read(**{name: "uploaded"}).initial_mask == "uploaded"


@pytest.mark.parametrize(
    ("request_", "is_self_contained"),
    [
        ({"foreground": [[1, 2, 3]], "user": "ann"}, True),
        ({"foreground": [[1, 2, 3]], "refine": "false"}, True),
        ({"foreground": [[1, 2, 3]], "refine": True}, False),
        ({"foreground": [[1, 2, 3]], "scribbles": True}, False),
        ({"foreground": [[1, 2, 3]], "prior": "original"}, False),
        ({"foreground": [[1, 2, 3]], "reset_state": True}, True),
        ({"foreground": [[1, 2, 3]], "instructions": {"T2/lesion": "bright"}}, False),
        ({"undo": True}, False),
        ({}, False),
    ],
)
def test_an_answer_may_depend_on_the_request_alone(
    request_: dict[str, Any], is_self_contained: bool
) -> None:
    assert read(**request_).is_self_contained is is_self_contained


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"foreground": [[1, 2]]}, "foreground"),
        ({"foreground": "1,2,3"}, "foreground"),
        ({"foreground": [[1, 2, float("nan")]]}, "foreground"),
        ({"foreground": [[1, 2, "x"]]}, "foreground"),
        ({"foreground": [["1", "2", "3"]]}, "foreground"),
        ({"foreground": ["123"]}, "foreground"),
        ({"foreground": [[True, 2, 3]]}, "foreground"),
        ({"background": [[1, False, 3]]}, "background"),
        ({"lesion": [[1, 2, True]]}, "lesion"),
        ({"foreground": [True, True, True]}, "foreground"),
        ({"roi": [1, True, 2, 3, 4, 5]}, "roi"),
        ({"roi": [[1, 2, 3], [4, 5, False]]}, "roi"),
        ({"roi": [1, 2, 3, 4, 5, "6"]}, "roi"),
        ({"roi": [1, 2, 3, 4, 5, float("inf")]}, "roi"),
        ({"foreground": [[1, 2, 3]], "slice": True}, "slice"),
        ({"foreground": [[1, 2, 3]], "most_slices": False}, "most_slices"),
        ({"roi": [1, 2, 3]}, "roi"),
        ({"roi": [1, 2]}, "roi"),
        ({"foreground": [[1, 2, 3]], "label": "spleen"}, "unknown label"),
        ({"foreground": [[1, 2, 3]], "sequences": "PD"}, "unknown sequence"),
        ({"foreground": [[1, 2, 3]], "slice": "x"}, "slice"),
        ({"prior": "anything"}, "prior"),
        ({"initial_mask": "anything"}, "initial_mask"),
        ({"mode": "append"}, "mode"),
        ({"refine": "perhaps"}, "refine"),
        ({"reset_state": "perhaps"}, "reset_state"),
        ({"scribbles": "perhaps"}, "scribbles"),
        ({"overwrite": "perhaps"}, "overwrite"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(request_: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        read(**request_)


def test_a_text_starts_from_the_model_s_mask_for_it() -> None:
    request = read(foreground=[[1, 2, 3]], label="cyst", instructions={"cyst": "dark"})
    assert request.initial_mask == "text"
    assert request.guidance.texts == {("T2", "cyst"): "dark", ("FLAIR", "cyst"): "dark"}
    assert read(foreground=[[1, 2, 3]], label="lesion", instructions={}).initial_mask == ""


def test_other_segments_are_kept_unless_the_request_says_otherwise() -> None:
    assert not read(foreground=[[1, 2, 3]]).overwrite
    assert read(foreground=[[1, 2, 3]], overwrite=True).overwrite


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"foreground": [[1, 2, 3]], "label": "cyst"}, True),
        ({"cyst": [[1, 2, 3]], "background": []}, True),
        ({"selected_label_name": "cyst"}, True),
        ({"foreground": [[1, 2, 3]]}, False),  # OHIF, which keeps other segments itself
        ({"foreground": [[1, 2, 3]], "label": "background"}, False),
    ],
)
def test_not_every_client_names_the_label_of_its_points(
    request_: dict[str, Any], names: bool
) -> None:
    assert read(**request_).names_label is names


def test_the_only_label_of_a_target_needs_no_name() -> None:
    brain = load_target("brain_tumour")
    assert read_click_request({"foreground": [[1, 2, 3]]}, brain).names_label


def test_the_same_click_twice_is_one_click() -> None:
    once = labels(foreground=[[1, 2, 3]], background=[[4, 5, 6]])
    twice = labels(foreground=[[1, 2, 3]] * 2, background=[[4, 5, 6]] * 3)
    assert twice == once
    assert labels(lesion=[[1, 2, 3]] * 2, cyst=[[7, 8, 9]] * 2) == labels(
        lesion=[[1, 2, 3]], cyst=[[7, 8, 9]]
    )


def test_clicks_within_one_voxel_are_one_click_on_that_voxel() -> None:
    clicks = [[1, 2, 3], [1.4, 2, 3], [0.6, 2.4, 3], [1, 1.5, 2.7], [1.2, 2.2, 3.2]]
    assert labels(foreground=clicks) == labels(foreground=[[1, 2, 3]])


def test_of_repeated_clicks_the_newest_place_in_the_list_counts() -> None:
    clicks = [[1, 1, 2], [3, 3, 4], [1, 1, 2]]
    assert labels(foreground=clicks)["lesion"].foreground == ((3, 3, 4), (1, 1, 2))


def test_a_point_on_the_label_and_outside_it_stays_both() -> None:
    """Whoever sends all points again says no order. The background then decides."""
    prompts = labels(foreground=[[1, 2, 3]], background=[[1, 2, 3]])
    assert prompts == {"lesion": StudyPrompt(((1, 2, 3),), ((1, 2, 3),))}


@pytest.mark.parametrize(
    "roi",
    [
        [-9, -1, 4, 8, 3, 3],  # beside it
        [24, 30, 4, 8, 3, 3],
        [2, 9, 4, 8, 6, 9],  # above it
        [[2, 9, -40], [4, 8, -0.6]],
    ],
)
def test_a_box_outside_the_image_is_refused_with_the_image_s_size(roi: list[Any]) -> None:
    with pytest.raises(InputError, match=r"a box around lesion.*24×20×6 voxels"):
        refuse_outside(read(roi=roi), GRID)


@pytest.mark.parametrize("roi", [[-9, 0, 4, 8, 3, 3], [40, 23, -5, 99, 3, -2], [-9, 99] * 3])
def test_a_box_that_reaches_into_the_image_is_not_refused(roi: list[float]) -> None:
    refuse_outside(read(roi=roi), GRID)


def test_a_slice_that_the_image_lacks_is_refused() -> None:
    with pytest.raises(InputError, match=r"slice 6.*0 to 5"):
        refuse_outside(read(foreground=[[1, 1, 2]], slice=6), GRID)


def test_the_slice_of_a_box_may_be_a_distance_in_mm() -> None:
    refuse_outside(read(roi=[2, 9, 4, 8, 1, 5], slice=60), GRID)


def test_an_undo_uses_no_slice() -> None:
    refuse_outside(read(undo=True, slice=6), GRID)


@pytest.mark.parametrize("name", ["foreground", "background", "lesion"])
def test_a_point_outside_the_image_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"click on lesion at voxel \[1\.0, 2\.0, 6\.0\]"):
        refuse_outside(read(**{name: [[1, 2, 5.6]]}), GRID)


def test_who_logged_in_is_whom_clicks_are_from_where_one_has_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann = User(username="ann")
    assert logged_in(ann) == {}
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", True)
    assert logged_in(ann) == {"user": "ann"}


@pytest.mark.parametrize("number", [float("inf"), 10**400, 1_000_001, "9" * 5000, "inf", -1, [[1]]])
@pytest.mark.parametrize("name", ["slice", "most_slices"])
def test_a_number_without_end_is_no_slice(name: str, number: object) -> None:
    with pytest.raises(InputError, match="a whole number from 0 to 1000000") as caught:
        read(**{name: number})
    assert len(str(caught.value)) < 300


def test_a_whole_number_without_end_is_no_voxel() -> None:
    with pytest.raises(InputError, match="foreground"):
        read(foreground=[[10**400, 1, 1]])
