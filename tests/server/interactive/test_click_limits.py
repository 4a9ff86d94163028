"""A 3-D click on a cold study answers in time, says how far it went, and goes on.

The fake encoder takes 100 s for a picture by a clock of its own, and a click has 250 s.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.server.conftest import make_tall_study
from tests.waiting import wait_until
from zeus_app.server.interactive.click_limits import limits_of
from zeus_app.server.interactive.click_request import read_click_request
from zeus_app.targets import load_target

CLICK = [10, 11, 7]  # in the bright lesion, which fills the slices 5 to 10
STUDIES = ("background", "once", "patient", "flat")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    folder = tmp_path_factory.mktemp("cold")
    for seed, study in enumerate(STUDIES):
        make_tall_study(folder / "studies", study, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "FAKE_MODEL", "tests.server.fakes.slow_clicks")
        control = running.control_folder(folder / "state")
        control.mkdir(parents=True)
        (control / "preparation-held").touch()
        conf = {"target": "phantom", "click_seconds": "250"}
        started = running.start(folder / "studies", folder / "state", conf)
    yield started
    running.stop(started)


class Clicker:
    """Sends one click of the lesion."""

    def __init__(self, server: running.Server, folder: Path) -> None:
        self._client = MONAILabelClient(server.url, tmpdir=str(folder))

    def click(self, study: str, model: str = "clicks_3d") -> tuple[list[int], dict[str, Any]]:
        """The slices with marked voxels, and the params."""
        params = {"foreground": [CLICK], "background": [], "label": "lesion"}
        file, answered = self._client.infer(model, study, params)
        voxels = np.asarray(nib.load(file).dataobj)
        return np.flatnonzero(voxels.any(axis=(0, 1))).tolist(), answered


@pytest.fixture
def clicker(server: running.Server, tmp_path: Path) -> Clicker:
    return Clicker(server, tmp_path)


def test_a_cold_click_answers_with_what_is_encoded_and_says_how_far_it_went(
    clicker: Clicker,
) -> None:
    """The clicked slice and the next one take 200 s; a third one would not end in time."""
    slices, answered = clicker.click("once")
    assert slices == [7, 8]
    assert (answered["reached"], answered["complete"]) == ({"lesion": [7, 8]}, False)
    assert "lesion: slices 7 to 8" in answered["note"]
    assert "/zeus/progress" in answered["note"]


def test_the_same_request_goes_on_where_the_last_one_stopped(clicker: Clicker) -> None:
    """Two slices more each time. The last request sees that the slices 4 and 11 lie outside."""
    reached = [clicker.click("patient")[1]["reached"]["lesion"] for _ in range(4)]
    assert reached == [[7, 8], [6, 9], [5, 10], [5, 10]]
    assert clicker.click("patient")[1]["complete"]


def test_after_a_click_the_server_encodes_the_other_slices_by_itself(
    server: running.Server, clicker: Clicker
) -> None:
    assert not clicker.click("background")[1]["complete"]
    preparing = requests.get(f"{server.url}/zeus/progress", timeout=60).json()["preparing"]
    assert preparing[0]["study"] == "background"
    server.preparation_held.unlink()
    wait_until(
        lambda: not requests.get(f"{server.url}/zeus/progress", timeout=60).json()["preparing"]
    )
    server.preparation_held.touch()
    slices, answered = clicker.click("background")
    assert slices == [5, 6, 7, 8, 9, 10]
    assert (answered["reached"], answered["complete"]) == ({"lesion": [5, 10]}, True)
    assert "note" not in answered


def test_a_click_in_2d_is_always_complete(clicker: Clicker) -> None:
    _, answered = clicker.click("flat", "clicks")
    assert (answered["reached"], answered["complete"]) == ({"lesion": [7, 7]}, True)


@pytest.mark.parametrize(
    ("dimension", "setting_s", "spent_s", "encode_s"),
    [
        (3, 5, 0, 5),
        (3, 5, 1.5, 3.5),
        (3, 5, 9, 0),
        (3, 0, 9, math.inf),
        (2, 5, 0, math.inf),  # one slice, which is always finished
    ],
)
def test_the_time_for_encoding(
    dimension: int, setting_s: float, spent_s: float, encode_s: float
) -> None:
    request = read_click_request({"foreground": [CLICK]}, load_target("phantom"))
    limits = limits_of(request, 7, dimension=dimension, encode_s=setting_s, spent_s=spent_s)
    assert limits.encode_s == encode_s
    assert limits.first_slice == 7
