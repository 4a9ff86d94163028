"""What a client opens is encoded in the background, while nothing else runs."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server.conftest import affine, head, make_study, save
from tests.server.running import Server
from tests.waiting import wait_until
from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.jobs.background_encoding import MOST, BackgroundEncoder
from zeus_app.server.jobs.jobs import Jobs

LONG_S = 10
SLICES = 4


class Bench:
    """A preparer whose slices are encoded one by one, when a test says so."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.encoded: list[tuple[str, int]] = []
        self.read: list[str] = []
        self._allowed = threading.Semaphore(0)
        self.preparer = BackgroundEncoder(self.jobs, self._encode)

    def _encode(self, study: Any, *, report: Report, wanted: Callable[[], Collection[int]]) -> None:
        left = [s for s in range(SLICES) if (study, s) not in self.encoded]
        for done in range(len(left)):
            report("encoding", done, SLICES)
            assert self._allowed.acquire(timeout=LONG_S)
            chosen = next((s for s in wanted() if s in left), left[0])
            left.remove(chosen)
            self.encoded.append((study, chosen))

    def open(self, study: str, version: int = 1, **how: Any) -> None:
        def read() -> Any:
            self.read.append(study)
            return study  # for its pictures

        self.preparer.open(study, (study, version), read, **how)

    def done(self) -> None:
        """Wait until all is prepared."""
        wait_until(lambda: self.preparer.as_json() == [])

    def encode(self, slices: int) -> None:
        """Let so many slices be encoded, and wait until they are."""
        expected = len(self.encoded) + slices
        self._allowed.release(slices)
        wait_until(lambda: len(self.encoded) == expected)

    def end(self) -> None:
        self._allowed.release(1000)
        wait_until(lambda: self.preparer.as_json() == [])


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.end()


def test_what_is_opened_is_prepared(bench: Bench) -> None:
    bench.open("a")
    bench.encode(SLICES)
    wait_until(lambda: bench.preparer.as_json() == [])
    assert bench.encoded == [("a", 0), ("a", 1), ("a", 2), ("a", 3)]


def test_where_it_is_can_be_seen(bench: Bench) -> None:
    bench.open("a")
    bench.encode(1)
    wait_until(lambda: bench.preparer.as_json()[0]["done"] == 1)
    assert bench.preparer.as_json() == [{"study": "a", "stage": "encoding", "done": 1, "total": 4}]


def test_the_study_opened_last_comes_first(bench: Bench) -> None:
    bench.open("a")
    bench.encode(1)
    bench.open("b")
    bench.encode(1 + SLICES)  # the slice of a that was begun, then b
    assert bench.encoded == [("a", 0), ("a", 1), *(("b", s) for s in range(SLICES))]


def test_slices_that_were_clicked_come_first_even_in_a_study_under_way(bench: Bench) -> None:
    bench.open("a")
    bench.encode(1)
    bench.open("a", first=(3, 2), again=False)
    bench.encode(2)
    assert bench.encoded == [("a", 0), ("a", 3), ("a", 2)]


def test_a_study_opened_twice_is_prepared_once(bench: Bench) -> None:
    bench.open("a")
    bench.open("a")
    bench.encode(SLICES)
    bench.done()
    assert bench.read == ["a"]


def test_opened_again_it_is_prepared_again_because_the_cache_may_have_lost_it(
    bench: Bench,
) -> None:
    bench.open("a")
    bench.encode(SLICES)
    bench.done()
    bench.open("a")
    wait_until(lambda: bench.read == ["a", "a"])


def test_clicks_prepare_it_again_only_when_its_files_changed(bench: Bench) -> None:
    bench.open("a")
    bench.encode(SLICES)
    bench.done()
    bench.open("a", again=False)
    assert bench.preparer.as_json() == []
    bench.open("a", version=2, again=False)
    wait_until(lambda: bench.read == ["a", "a"])


def test_only_the_newest_are_remembered(bench: Bench) -> None:
    names = [f"study {number}" for number in range(MOST + 1)]
    for name in names:
        bench.open(name)
    assert [one["study"] for one in bench.preparer.as_json()] == names[:0:-1]


@pytest.mark.parametrize("urgent", [True, False])
def test_what_is_more_urgent_goes_first_and_the_study_is_kept(bench: Bench, urgent: bool) -> None:
    bench.open("a")
    bench.encode(1)
    entered = threading.Event()

    def work() -> None:
        with bench.jobs.job("b", urgent=urgent):
            entered.set()

    working = threading.Thread(target=work)
    working.start()
    wait_until(lambda: [one["study"] for one in bench.jobs.as_json()] == ["b"])
    bench.encode(1)
    assert entered.wait(LONG_S)
    bench.encode(2)
    assert bench.read == ["a"]
    working.join(LONG_S)


@pytest.mark.parametrize("error", [InputError("NaN", expected="x", remedy="y"), OSError("gone")])
def test_a_study_that_cannot_be_prepared_is_logged_and_the_next_one_is(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Any:
        raise error

    with caplog.at_level(logging.WARNING):
        bench.preparer.open("broken", 1, fail)
        wait_until(lambda: bench.preparer.as_json() == [])
    assert "broken was not prepared" in caplog.text
    bench.open("a")
    bench.encode(SLICES)
    assert len(bench.encoded) == SLICES


def opened(tmp_path: Path, **conf: str) -> ServerContext:
    make_study(tmp_path / "studies", "alpha", 1)
    return open_context(
        str(tmp_path / "studies"), {"state": str(tmp_path / "state"), "target": "phantom", **conf}
    )


def test_the_setting_turns_off_what_happens_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx, prepared = opened(tmp_path, prepare="false"), []
    monkeypatch.setattr(
        ctx.background_encoder, "open", lambda name, *_, **how: prepared.append(name)
    )
    alpha = ctx.datastore.catalogue.resolve("alpha")
    ctx.encode_opened(alpha)
    ctx.encode_session("1", tmp_path)
    ctx.encode_around(alpha, 1, 3)
    assert prepared == []
    ctx.encode(alpha, first=(2,))
    assert prepared == ["alpha"]


def test_a_sequence_that_is_opened_stands_for_its_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx, read = opened(tmp_path), []
    monkeypatch.setattr(
        ctx.background_encoder,
        "open",
        lambda name, _, stack, **how: read.append((name, stack())),
    )
    ctx.encode_opened(ctx.datastore.catalogue.resolve("alpha/FLAIR"))
    ((name, stack),) = read
    assert name == "alpha"
    assert stack.tissue.any(axis=1).all()
    assert stack.sequences == ("T2", "FLAIR")


def test_an_inference_a_click_and_the_background_read_a_study_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx, stacks = opened(tmp_path), []
    monkeypatch.setattr(
        ctx.background_encoder, "open", lambda name, _, stack, **how: stacks.append(stack())
    )
    alpha = ctx.datastore.catalogue.resolve("alpha")
    seen = ctx.open_study(alpha).stack
    ctx.encode_around(alpha, 1, 3)
    ctx.encode_opened(alpha)
    assert [stack is seen for stack in stacks] == [True, True]


def test_around_a_click_a_study_is_prepared_from_there_on_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx, opened_at = opened(tmp_path), []
    monkeypatch.setattr(ctx.background_encoder, "open", lambda *_, **how: opened_at.append(how))
    ctx.encode_around(ctx.datastore.catalogue.resolve("alpha"), 3, 6)
    assert opened_at == [{"first": (3, 2, 4, 1, 5, 0), "again": False}]


def preparing(server: Server) -> list[str]:
    found = requests.get(f"{server.url}/zeus/progress", timeout=60).json()["preparing"]
    return [one["study"] for one in found]


@pytest.fixture
def idle(server: Server) -> Iterator[Server]:
    """The server, which prepares nothing before and after."""
    wait_until(lambda: preparing(server) == [])
    yield server
    server.preparation_held.unlink(missing_ok=True)
    wait_until(lambda: preparing(server) == [])


@pytest.fixture
def held(idle: Server) -> Server:
    """The idle server; what it begins to prepare stays under way as long as the test runs."""
    idle.preparation_held.touch()
    return idle


def test_a_client_s_request_prepares_a_study_and_an_inference_comes_between(
    held: Server, client: MONAILabelClient
) -> None:
    address = f"{held.url}/zeus/studies/slow/prepare"
    answer = requests.post(address, params={"slices": "3,2"}, timeout=60)
    assert answer.status_code == 202
    assert [one["study"] for one in answer.json()["preparing"]] == ["slow"]
    assert client.infer("zeus", "alpha", {})[1]["study"] == "alpha"
    assert preparing(held) == ["slow"]


def test_downloading_a_study_prepares_it(held: Server) -> None:
    requests.get(f"{held.url}/datastore/image?image=bravo", timeout=60).raise_for_status()
    assert preparing(held) == ["bravo"]


def test_the_study_that_comes_next_is_prepared(held: Server, client: MONAILabelClient) -> None:
    study = client.next_sample("first", {})["id"]
    assert preparing(held) == [study]


def test_the_file_of_a_new_session_is_prepared(
    held: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    file = save(tmp_path / "patient_t2.nii.gz", head(7), affine())
    session = client.create_session(str(file))["session_id"]
    assert preparing(held) == [f"session {session}"]


@pytest.mark.parametrize(
    ("study", "slices", "status"), [("nobody", "", 404), ("alpha", "a", 400), ("alpha", "-1", 400)]
)
def test_a_request_that_makes_no_sense_is_refused(
    server: Server, study: str, slices: str, status: int
) -> None:
    address = f"{server.url}/zeus/studies/{study}/prepare"
    assert requests.post(address, params={"slices": slices}, timeout=60).status_code == status
