"""Requests as 3D Slicer, OHIF and plain HTTP send them."""

from typing import Any

import pytest
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from zeus_app.errors import InputError
from zeus_app.prompts.types import Clicks
from zeus_app.server.interactive.click_request import is_self_contained, read_clicks
from zeus_app.server.routes.roles import logged_in
from zeus_app.targets import load_target

PHANTOM = load_target("phantom")  # labels lesion and cyst


def labels(**request: Any) -> Any:
    return read_clicks(request, PHANTOM).labels


def test_deepgrow_sends_points_of_one_label() -> None:
    found = labels(foreground=[[1, 2, 3]], background=[[4, 5, 6]], label="cyst")
    assert found == {"cyst": Clicks(((1, 2, 3),), ((4, 5, 6),))}


def test_deepedit_sends_points_under_each_labels_name_and_other_labels_are_beside() -> None:
    found = labels(lesion=[[1, 2, 3]], cyst=[[7, 8, 9]], background=[[4, 5, 6]])
    assert found["lesion"] == Clicks(((1, 2, 3),), ((4, 5, 6), (7, 8, 9)))
    assert found["cyst"] == Clicks(((7, 8, 9),), ((4, 5, 6), (1, 2, 3)))


def test_without_a_label_the_first_is_meant() -> None:
    assert labels(foreground=[[1, 2, 3]]) == {"lesion": Clicks(((1, 2, 3),))}


def test_slicers_unsorted_box_is_two_corners() -> None:
    assert labels(roi=[9, 2, 4, 8, 3, 3], label="lesion")["lesion"].box == ((9, 4, 3), (2, 8, 3))


def test_a_viewers_rectangle_is_two_corners_as_well() -> None:
    assert labels(roi=[[9, 4, 3], [2, 8, 3]])["lesion"].box == ((9, 4, 3), (2, 8, 3))


def test_a_box_comes_on_top_of_the_clicks_of_the_label_it_is_drawn_for_and_of_no_other() -> None:
    """As Slicer's SmartEdit sends a ROI beside the points of a deepedit model."""
    roi = [2, 9, 4, 8, 3, 3]
    found = labels(lesion=[[5, 6, 3]], cyst=[[7, 8, 3]], background=[], label="cyst", roi=roi)
    assert found["cyst"].foreground == ((7, 8, 3),)
    assert found["cyst"].box == ((2, 4, 3), (9, 8, 3))
    assert found["lesion"] == Clicks(((5, 6, 3),), ((7, 8, 3),))


def test_background_is_a_label_like_any_other_to_deepedit_clients() -> None:
    found = labels(lesion=[[1, 2, 3]], cyst=[], background=[[4, 5, 6]], label="background")
    assert found == {"lesion": Clicks(((1, 2, 3),), ((4, 5, 6),))}


def test_who_points_at_the_background_points_beside_the_label() -> None:
    found = labels(foreground=[[4, 5, 6]], background=[], label="background")
    assert found == {"lesion": Clicks((), ((4, 5, 6),))}


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"foreground": [], "background": []}, True),
        ({"background": []}, True),
        ({"lesion": [], "cyst": []}, True),
        ({"foreground": None}, False),
        ({"prior": "original"}, False),
        ({"label": "cyst"}, False),
    ],
)
def test_empty_lists_say_nothing_and_a_request_without_lists_does_not_speak(
    request_: dict[str, Any], says: bool
) -> None:
    assert read_clicks(request_, PHANTOM).says is says


@pytest.mark.parametrize("word", ["reset_state", "reset", "undo", "refine", "scribbles"])
def test_switches_are_read_as_monai_label_reads_them(word: str) -> None:
    field = word.removesuffix("_state")
    for given, meant in (("false", False), ("0", False), (False, False), ("True", True), (1, True)):
        assert getattr(read_clicks({word: given}, PHANTOM), field) is meant
    with pytest.raises(InputError, match=word):
        read_clicks({word: "perhaps"}, PHANTOM)


@pytest.mark.parametrize(
    ("request_", "alone"),
    [
        ({"foreground": [[1, 2, 3]], "user": "ann"}, True),
        ({"foreground": [[1, 2, 3]], "refine": "false"}, True),
        ({"foreground": [[1, 2, 3]], "refine": True}, False),
        ({"foreground": [[1, 2, 3]], "scribbles": True}, False),
        ({"foreground": [[1, 2, 3]], "prior": "original"}, False),
        ({"foreground": [[1, 2, 3]], "instructions": {"T2/lesion": "bright"}}, False),
        ({"undo": True}, False),
        ({}, False),
    ],
)
def test_an_answer_may_depend_on_the_request_alone(request_: dict[str, Any], alone: bool) -> None:
    assert is_self_contained(request_, PHANTOM) is alone


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"foreground": [[1, 2]]}, "foreground"),
        ({"foreground": "1,2,3"}, "foreground"),
        ({"foreground": [[1, 2, float("nan")]]}, "foreground"),
        ({"foreground": [[1, 2, "x"]]}, "foreground"),
        ({"roi": [1, 2, 3]}, "roi"),
        ({"roi": [1, 2]}, "roi"),
        ({"foreground": [[1, 2, 3]], "label": "spleen"}, "unknown label"),
        ({"foreground": [[1, 2, 3]], "sequences": "PD"}, "unknown sequence"),
        ({"foreground": [[1, 2, 3]], "slice": "x"}, "slice"),
        ({"prior": "anything"}, "prior"),
    ],
)
def test_what_cannot_be_read_is_named(request_: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_clicks(request_, PHANTOM)


def test_who_logged_in_is_whom_clicks_are_from_where_one_has_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann = User(username="ann")
    assert logged_in(ann) == {}
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", True)
    assert logged_in(ann) == {"user": "ann"}
