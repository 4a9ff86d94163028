"""Requests as 3D Slicer, OHIF and plain HTTP send them, and the history they make."""

from pathlib import Path
from typing import Any

import pytest

from zeus_app.clicks.pointing import Clicks
from zeus_app.errors import InputError
from zeus_app.server.click_history import ClickHistory
from zeus_app.server.click_request import read_clicks
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


def follow(history: ClickHistory, study: str = "a", **request: Any) -> Any:
    step = history.follow(read_clicks(request, PHANTOM), study, "T2")
    return step.labels if step else None


@pytest.fixture
def history(tmp_path: Path) -> ClickHistory:
    return ClickHistory(tmp_path)


def test_stock_clients_say_everything_again(history: ClickHistory) -> None:
    follow(history, foreground=[[1, 1, 1]])
    found = follow(history, foreground=[[1, 1, 1], [2, 2, 2]])
    assert found["lesion"].foreground == ((1, 1, 1), (2, 2, 2))


def test_refine_adds_to_what_was_said(history: ClickHistory) -> None:
    follow(history, foreground=[[1, 1, 1]])
    found = follow(history, background=[[2, 2, 2]], refine=True)
    assert found["lesion"] == Clicks(((1, 1, 1),), ((2, 2, 2),))


def test_undo_takes_the_newest_step_back_and_reset_all_of_them(history: ClickHistory) -> None:
    follow(history, foreground=[[1, 1, 1]])
    follow(history, foreground=[[2, 2, 2]], refine=True)
    assert follow(history, undo=True)["lesion"].foreground == ((1, 1, 1),)
    assert follow(history, reset=True) is None
    assert history.steps("anonymous", "a") == []


def test_undo_of_nothing_is_nothing(history: ClickHistory) -> None:
    assert follow(history, undo=True) is None


def test_a_request_that_comes_twice_is_one_step(history: ClickHistory) -> None:
    for _ in range(2):
        follow(history, foreground=[[1, 1, 1]])
    assert len(history.steps("anonymous", "a")) == 1


def test_users_and_studies_never_mix(history: ClickHistory) -> None:
    follow(history, foreground=[[1, 1, 1]], user="ann")
    follow(history, foreground=[[2, 2, 2]], user="bob")
    follow(history, study="b", foreground=[[3, 3, 3]], user="ann")
    found = [history.steps(u, s)[-1].labels["lesion"].foreground[0][0]
             for u, s in (("ann", "a"), ("bob", "a"), ("ann", "b"))]  # fmt: skip
    assert found == [1, 2, 3]


def test_a_restarted_server_knows_what_was_said(tmp_path: Path) -> None:
    follow(ClickHistory(tmp_path), foreground=[[1, 1, 1]])
    assert len(ClickHistory(tmp_path).steps("anonymous", "a")) == 1


def test_a_history_cut_short_counts_as_none(history: ClickHistory) -> None:
    follow(history, foreground=[[1, 1, 1]])
    path = history.place("anonymous", "a").with_suffix(".json")
    path.write_text(path.read_text()[:-3])
    assert history.steps("anonymous", "a") == []
