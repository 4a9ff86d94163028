"""Many clients at one server, over a real socket: each gets its answer or a time to retry.

The slow study runs until a test releases it, so that no test depends on speed.
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
from zeus_app.prompts.propagation import PROPAGATING

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
    """Clients that send requests and do not wait for the answers."""

    def __init__(self, server: running.Server) -> None:
        self._server = server
        self._connections: list[HTTPConnection] = []
        self._logged_before = len(server.log_text())

    def ask(self, image: str, text: str = "", model: str = "zeus", **extra: Any) -> HTTPConnection:
        """POST /infer; another text makes another request."""
        address = urlsplit(self._server.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=60)
        params = extra | ({"instructions": {"T2/lesion": text}} if text else {})
        connection.request(
            "POST",
            f"/infer/{model}?image={image}&output=image",
            body=urlencode({"params": json.dumps(params)}),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        self._connections.append(connection)
        return connection

    def hold(self) -> HTTPConnection:
        """Start an inference that runs until it is released."""
        connection = self.ask("slow")
        self.see_stages(["encoding"])
        return connection

    def fill_the_queue(self) -> None:
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
        inferences: list[dict[str, Any]] = answer["inference"]
        return inferences

    def see(self, studies: list[str]) -> None:
        """Wait until the jobs of these studies run or wait, in this order."""
        wait_until(lambda: [job["study"] for job in self.progress()] == studies)

    def see_stages(self, stages: list[str]) -> None:
        """Wait until the jobs are in these stages."""
        wait_until(lambda: [job["stage"] for job in self.progress()] == stages)

    def end(self) -> None:
        for connection in self._connections:
            connection.close()
        self.see([])
        self._server.released.unlink(missing_ok=True)


@pytest.fixture
def clients(server: running.Server) -> Iterator[Clients]:
    clients = Clients(server)
    yield clients
    clients.end()


def answer(connection: HTTPConnection) -> tuple[HTTPResponse, bytes]:
    response = connection.getresponse()
    return response, response.read()


def answered(connections: list[HTTPConnection]) -> int:
    """How many have an answer that nobody has read."""
    return len(select.select([connection.sock for connection in connections], [], [], 0)[0])


def runs(server: running.Server) -> int:
    """How many inferences of the slow study have ended."""
    return server.log_text().count("slow: checkpoint")


@pytest.mark.parametrize("path", ["/info/", "/zeus/progress", "/datastore/image?image=bravo"])
def test_other_requests_are_answered_while_the_queue_is_full(
    server: running.Server, clients: Clients, path: str
) -> None:
    clients.hold()
    clients.fill_the_queue()
    assert requests.get(f"{server.url}{path}", timeout=60).ok
    clients.see(["slow", *["alpha"] * WAITING])


def test_a_click_is_answered_during_an_inference_and_before_all_that_wait(
    server: running.Server, clients: Clients
) -> None:
    clients.hold()
    clients.fill_the_queue()
    clicked = requests.post(
        f"{server.url}/infer/clicks",
        params={"image": "bravo", "output": "image"},
        data={"params": json.dumps({"foreground": [[17, 4, 2]]})},
        timeout=60,
    )
    assert clicked.ok
    assert clicked.content
    clients.see(["slow", *["alpha"] * WAITING])  # no inference ended or lost its position


def test_a_click_is_answered_while_another_waits_for_the_mask_of_a_text(
    clients: Clients,
) -> None:
    text = clients.ask("slow", "bright", "clicks", foreground=[[17, 4, 2]])
    clients.see_stages(["encoding"])
    other = clients.ask("bravo", "", "clicks", foreground=[[17, 4, 2]])
    assert answer(other)[0].status == 200
    clients.see(["slow"])
    clients.release()
    assert answer(text)[0].status == 200


CLICKED: dict[str, Any] = {
    "foreground": [[17, 4, 2]],
    "most_slices": 63,
}  # the fake model holds these


def test_a_click_is_answered_while_the_mask_of_another_is_propagated(clients: Clients) -> None:
    propagated = clients.ask("alpha", model="clicks_3d", **CLICKED)
    clients.see_stages([PROPAGATING])
    other = clients.ask("bravo", model="clicks", foreground=[[17, 4, 2]])
    assert answer(other)[0].status == 200
    clients.see(["alpha"])
    clients.release()
    assert answer(propagated)[0].status == 200


def click_twice(clients: Clients, *, refine: bool) -> list[HTTPConnection]:
    return [
        clients.ask("alpha", model="clicks_3d", **CLICKED, user="twice", refine=refine)
        for _ in range(2)
    ]


def test_equal_clicks_run_once(clients: Clients) -> None:
    connections = click_twice(clients, refine=False)
    clients.see_logged("2 clients wait for the same inference")
    clients.see(["alpha"])
    clients.release()
    assert [answer(connection)[0].status for connection in connections] == [200, 200]


def test_equal_clicks_that_add_to_others_both_run(clients: Clients) -> None:
    connections = click_twice(clients, refine=True)
    clients.see(["alpha", "alpha"])
    clients.release()
    assert [answer(connection)[0].status for connection in connections] == [200, 200]


def test_a_click_whose_client_disconnects_is_not_saved_as_a_step(
    server: running.Server, clients: Clients
) -> None:
    clients.ask("alpha", model="clicks_3d", **CLICKED, user="gone")
    clients.see(["alpha"])
    clients.end()
    history = requests.get(f"{server.url}/zeus/clicks/alpha", params={"user": "gone"}, timeout=60)
    assert history.json()["steps"] == 0


def test_beyond_the_limit_a_client_learns_when_to_retry(clients: Clients) -> None:
    clients.hold()
    clients.fill_the_queue()
    response, body = answer(clients.ask("bravo"))
    assert response.status == 503
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert f"{WAITING} inferences wait already" in json.loads(body)["detail"]


def test_more_inferences_than_threads_leave_a_thread_for_other_requests(
    server: running.Server, clients: Clients
) -> None:
    clients.hold()
    crowd = [clients.ask("alpha", f"client {number}") for number in range(CROWD)]
    wait_until(lambda: answered(crowd) == CROWD - WAITING)
    clients.see(["slow", *["alpha"] * WAITING])  # which needs a thread
    clients.release()
    codes = sorted(answer(connection)[0].status for connection in crowd)
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
    answers = [answer(connection) for connection in (first, *others)]
    assert [response.status for response, _ in answers] == [200, 200, 200]
    assert len({body for _, body in answers}) == 1
    assert len(answers[0][1]) > 100
    assert runs(server) == before + 1


def test_a_request_with_other_params_is_not_shared(clients: Clients) -> None:
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


def test_the_inference_of_a_client_that_disconnects_is_cancelled(
    server: running.Server, clients: Clients
) -> None:
    before = runs(server)
    clients.hold().close()
    clients.see([])
    assert runs(server) == before


def test_the_waiting_inference_of_a_client_that_disconnects_leaves_the_queue(
    clients: Clients,
) -> None:
    clients.hold()
    waiting = clients.ask("bravo")
    clients.see(["slow", "bravo"])
    waiting.close()
    clients.see(["slow"])


def test_an_inference_that_another_client_waits_for_goes_on(clients: Clients) -> None:
    first = clients.hold()
    second = clients.ask("slow")
    clients.see_logged("2 clients wait for the same inference")
    first.close()
    clients.see_logged("a client disconnected; 1 wait for its inference")
    assert not clients.progress()[0]["cancelled"]
    clients.release()
    assert answer(second)[0].status == 200


def test_no_answer_leaves_a_file_behind(server: running.Server, clients: Clients) -> None:
    first, second = clients.hold(), clients.ask("slow")
    clients.see_logged("2 clients wait for the same inference")
    clients.ask("slow").close()
    clients.see_logged("a client disconnected; 2 wait for its inference")
    clients.release()
    assert answer(first)[0].status == answer(second)[0].status == 200
    wait_until(lambda: list((server.state / "tmp").glob("zeus-server-*/zeus-*")) == [])
