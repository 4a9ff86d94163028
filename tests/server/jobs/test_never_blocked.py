"""Many clients at one server, over a real socket: each is answered, or told when to come back.

The slow study runs until a test releases it, so that nothing here depends on how fast things are.
"""

import json
import select
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from tests.server import running
from tests.server.conftest import affine, head, make_study, save
from tests.waiting import wait_until

WAITING = 2
CROWD = 60  # FastAPI has 40 threads for all plain routes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    folder = tmp_path_factory.mktemp("busy")
    for seed, study in enumerate(("alpha", "bravo", "charlie", "slow")):
        make_study(folder / "studies", study, seed)
    (folder / "state" / "tmp").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder / "state" / "tmp"))
        conf = {"target": "phantom", "waiting": str(WAITING), "prepare": "false"}
        started = running.start(folder / "studies", folder / "state", conf)
    yield started
    running.stop(started)


class Clients:
    """Clients that ask and do not wait until they want to."""

    def __init__(self, server: running.Server) -> None:
        self._server = server
        self._asked: list[HTTPConnection] = []
        self._logged_before = len(server.log_text())

    def ask(self, image: str, words: str = "", model: str = "zeus", **said: Any) -> HTTPConnection:
        """POST /infer; other words make another request."""
        address = urlsplit(self._server.url)
        line = HTTPConnection(address.hostname or "", address.port, timeout=60)
        params = said | ({"instructions": {"T2/lesion": words}} if words else {})
        line.request(
            "POST",
            f"/infer/{model}?image={image}&output=image",
            body=urlencode({"params": json.dumps(params)}),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        self._asked.append(line)
        return line

    def hold(self) -> HTTPConnection:
        """A long inference that runs."""
        asked = self.ask("slow")
        wait_until(lambda: [one["stage"] for one in self.progress()] == ["encoding"])
        return asked

    def fill_the_line(self) -> None:
        for number in range(WAITING):
            self.ask("alpha", f"number {number}")
        self.see(["slow", *["alpha"] * WAITING])

    def release(self) -> None:
        self._server.released.touch()

    def see_logged(self, line: str) -> None:
        """Wait until the server has written this line since the test began."""
        wait_until(lambda: line in self._server.log_text()[self._logged_before :])

    def progress(self) -> list[dict[str, Any]]:
        answer = requests.get(f"{self._server.url}/zeus/progress", timeout=60).json()
        found: list[dict[str, Any]] = answer["inference"]
        return found

    def see(self, studies: list[str]) -> None:
        """Wait until these are in the line."""
        wait_until(lambda: [one["study"] for one in self.progress()] == studies)

    def end(self) -> None:
        for line in self._asked:
            line.close()
        self.see([])
        self._server.released.unlink(missing_ok=True)


@pytest.fixture
def clients(server: running.Server) -> Iterator[Clients]:
    made = Clients(server)
    yield made
    made.end()


def answer(asked: HTTPConnection) -> tuple[HTTPResponse, bytes]:
    response = asked.getresponse()
    return response, response.read()


def answered(asked: list[HTTPConnection]) -> int:
    """How many have an answer that nobody read yet."""
    return len(select.select([line.sock for line in asked], [], [], 0)[0])


def runs(server: running.Server) -> int:
    """How many inferences of the slow study came to their end."""
    return server.log_text().count("slow: checkpoint")


@pytest.mark.parametrize("path", ["/info/", "/zeus/progress", "/datastore/image?image=bravo"])
def test_others_are_answered_while_the_line_is_full(
    server: running.Server, clients: Clients, path: str
) -> None:
    clients.hold()
    clients.fill_the_line()
    assert requests.get(f"{server.url}{path}", timeout=60).ok
    clients.see(["slow", *["alpha"] * WAITING])


def test_a_click_is_answered_in_the_midst_of_an_inference_and_before_all_that_wait(
    server: running.Server, clients: Clients
) -> None:
    clients.hold()
    clients.fill_the_line()
    clicked = requests.post(
        f"{server.url}/infer/clicks",
        params={"image": "bravo", "output": "image"},
        data={"params": json.dumps({"foreground": [[17, 4, 2]]})},
        timeout=60,
    )
    assert clicked.ok
    assert clicked.content
    clients.see(["slow", *["alpha"] * WAITING])  # none of which has ended or lost its place


def test_a_click_is_answered_while_another_waits_for_what_the_model_makes_of_a_text(
    clients: Clients,
) -> None:
    text = clients.ask("slow", "bright", "clicks", foreground=[[17, 4, 2]])
    wait_until(lambda: [one["stage"] for one in clients.progress()] == ["encoding"])
    other = clients.ask("bravo", "", "clicks", foreground=[[17, 4, 2]])
    assert answer(other)[0].status == 200
    clients.see(["slow"])
    clients.release()
    assert answer(text)[0].status == 200


CLICKED: dict[str, Any] = {"foreground": [[17, 4, 2]], "most_slices": 63}  # the fake holds these


def test_a_click_is_answered_while_the_mask_of_another_is_carried_on(clients: Clients) -> None:
    carried = clients.ask("alpha", model="clicks_3d", **CLICKED)
    wait_until(lambda: [one["stage"] for one in clients.progress()] == ["carrying on"])
    other = clients.ask("bravo", model="clicks", foreground=[[17, 4, 2]])
    assert answer(other)[0].status == 200
    clients.see(["alpha"])
    clients.release()
    assert answer(carried)[0].status == 200


def click_twice(clients: Clients, *, refine: bool) -> list[HTTPConnection]:
    return [
        clients.ask("alpha", model="clicks_3d", **CLICKED, user="twice", refine=refine)
        for _ in range(2)
    ]


def test_equal_clicks_run_once(clients: Clients) -> None:
    asked = click_twice(clients, refine=False)
    clients.see_logged("2 clients wait for the same inference")
    clients.see(["alpha"])
    clients.release()
    assert [answer(line)[0].status for line in asked] == [200, 200]


def test_equal_clicks_on_top_of_others_run_both(clients: Clients) -> None:
    asked = click_twice(clients, refine=True)
    clients.see(["alpha", "alpha"])
    clients.release()
    assert [answer(line)[0].status for line in asked] == [200, 200]


def test_a_click_whose_client_goes_away_is_no_step(
    server: running.Server, clients: Clients
) -> None:
    clients.ask("alpha", model="clicks_3d", **CLICKED, user="gone")
    clients.see(["alpha"])
    clients.end()
    said = requests.get(f"{server.url}/zeus/clicks/alpha", params={"user": "gone"}, timeout=60)
    assert said.json()["steps"] == 0


def test_beyond_the_bound_a_client_is_told_when_to_come_back(clients: Clients) -> None:
    clients.hold()
    clients.fill_the_line()
    response, body = answer(clients.ask("bravo"))
    assert response.status == 503
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert f"{WAITING} inferences wait already" in json.loads(body)["detail"]


def test_more_clients_than_threads_leave_one_for_everybody_else(
    server: running.Server, clients: Clients
) -> None:
    clients.hold()
    crowd = [clients.ask("alpha", f"client {number}") for number in range(CROWD)]
    wait_until(lambda: answered(crowd) == CROWD - WAITING)
    clients.see(["slow", *["alpha"] * WAITING])  # which needs a thread
    clients.release()
    codes = sorted(answer(asked)[0].status for asked in crowd)
    assert codes == [200] * WAITING + [503] * (CROWD - WAITING)


def test_equal_requests_run_once_and_each_gets_the_mask(
    server: running.Server, clients: Clients
) -> None:
    before = runs(server)
    first = clients.hold()
    others = [clients.ask("slow") for _ in range(2)]
    clients.see_logged("3 clients wait for the same inference")
    clients.see(["slow"])
    clients.release()
    answers = [answer(asked) for asked in (first, *others)]
    assert [response.status for response, _ in answers] == [200, 200, 200]
    assert len({body for _, body in answers}) == 1
    assert len(answers[0][1]) > 100
    assert runs(server) == before + 1


def test_a_request_with_other_params_runs_for_itself(clients: Clients) -> None:
    clients.hold()
    clients.ask("slow", "something else")
    clients.see(["slow", "slow"])


def test_files_sent_along_are_never_shared(
    server: running.Server, clients: Clients, tmp_path: Path
) -> None:
    content = save(tmp_path / "t2.nii.gz", head(1), affine()).read_bytes()
    names = {
        requests.post(
            f"{server.url}/infer/zeus?output=json",
            files={"file": ("t2.nii.gz", content)}, timeout=60,
        ).json()["study"]
        for _ in range(2)
    }  # fmt: skip
    assert len(names) == 2


def test_a_client_that_goes_away_takes_its_work_along(
    server: running.Server, clients: Clients
) -> None:
    before = runs(server)
    clients.hold().close()
    clients.see([])
    assert runs(server) == before


def test_a_client_that_goes_away_while_it_waits_leaves_the_line(clients: Clients) -> None:
    clients.hold()
    waiting = clients.ask("bravo")
    clients.see(["slow", "bravo"])
    waiting.close()
    clients.see(["slow"])


def test_work_that_another_client_waits_for_goes_on(clients: Clients) -> None:
    first = clients.hold()
    second = clients.ask("slow")
    clients.see_logged("2 clients wait for the same inference")
    first.close()
    clients.see_logged("a client went away; 1 wait for its inference")
    assert not clients.progress()[0]["cancelled"]
    clients.release()
    assert answer(second)[0].status == 200


def test_no_answer_leaves_a_file_behind(server: running.Server, clients: Clients) -> None:
    first, second = clients.hold(), clients.ask("slow")
    clients.see_logged("2 clients wait for the same inference")
    clients.ask("slow").close()
    clients.see_logged("a client went away; 2 wait for its inference")
    clients.release()
    assert answer(first)[0].status == answer(second)[0].status == 200
    wait_until(lambda: list((server.state / "tmp").glob("zeus-*")) == [])
