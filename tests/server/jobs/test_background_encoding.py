"""A study that a client opens is encoded in the background, while no inference runs."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server.conftest import affine, head, lesion_file, make_study, save
from tests.server.running import Server
from tests.waiting import wait_until
from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.jobs.background_encoding import MAX_QUEUED, BackgroundEncoder
from zeus_app.server.jobs.jobs import Jobs

LONG_S = 10
SLICES = 4


class Bench:
    """A background encoder that encodes one slice after another, as a test tells it."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.encoded: list[tuple[str, int]] = []
        self.studies_read: list[str] = []
        self._allowed = threading.Semaphore(0)
        self.encoder = BackgroundEncoder(self.jobs, self._encode)

    def _encode(self, stack: Any, *, report: Report, first: Callable[[], Collection[int]]) -> None:
        left = [s for s in range(SLICES) if (stack, s) not in self.encoded]
        for done in range(len(left)):
            report("encoding", done, SLICES)
            assert self._allowed.acquire(timeout=LONG_S)
            chosen = next((s for s in first() if s in left), left[0])
            left.remove(chosen)
            self.encoded.append((stack, chosen))

    def enqueue(self, study: str, version: int = 1, **options: Any) -> None:
        def read() -> Any:
            self.studies_read.append(study)
            return study  # in place of its slices

        self.encoder.enqueue(study, (study, version), read, **options)

    def wait_until_done(self) -> None:
        wait_until(lambda: self.encoder.as_json() == [])

    def encode(self, slices: int) -> None:
        """Allow so many slices, and wait until they are encoded."""
        expected = len(self.encoded) + slices
        self._allowed.release(slices)
        wait_until(lambda: len(self.encoded) == expected)

    def end(self) -> None:
        self._allowed.release(1000)
        self.wait_until_done()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.end()


def test_every_slice_of_an_opened_study_is_encoded(bench: Bench) -> None:
    bench.enqueue("a")
    bench.encode(SLICES)
    bench.wait_until_done()
    assert bench.encoded == [("a", 0), ("a", 1), ("a", 2), ("a", 3)]


def test_the_progress_is_shown(bench: Bench) -> None:
    bench.enqueue("a")
    bench.encode(1)
    wait_until(lambda: bench.encoder.as_json()[0]["done"] == 1)
    assert bench.encoder.as_json() == [{"study": "a", "stage": "encoding", "done": 1, "total": 4}]


def test_the_study_opened_last_comes_first(bench: Bench) -> None:
    bench.enqueue("a")
    bench.encode(1)
    bench.enqueue("b")
    bench.encode(1 + SLICES)  # the slice of a that had begun, then b
    assert bench.encoded == [("a", 0), ("a", 1), *(("b", s) for s in range(SLICES))]


def test_clicked_slices_come_first_even_in_a_study_that_has_begun(bench: Bench) -> None:
    bench.enqueue("a")
    bench.encode(1)
    bench.enqueue("a", first=(3, 2), again=False)
    bench.encode(2)
    assert bench.encoded == [("a", 0), ("a", 3), ("a", 2)]


def test_a_study_that_is_queued_twice_is_encoded_once(bench: Bench) -> None:
    bench.enqueue("a")
    bench.enqueue("a")
    bench.encode(SLICES)
    bench.wait_until_done()
    assert bench.studies_read == ["a"]


def test_a_study_that_is_opened_again_is_encoded_again_because_the_cache_may_have_dropped_it(
    bench: Bench,
) -> None:
    bench.enqueue("a")
    bench.encode(SLICES)
    bench.wait_until_done()
    bench.enqueue("a")
    wait_until(lambda: bench.studies_read == ["a", "a"])


def test_after_a_click_a_study_is_encoded_again_only_when_its_files_changed(bench: Bench) -> None:
    bench.enqueue("a")
    bench.encode(SLICES)
    bench.wait_until_done()
    bench.enqueue("a", again=False)
    assert bench.encoder.as_json() == []
    bench.enqueue("a", version=2, again=False)
    wait_until(lambda: bench.studies_read == ["a", "a"])


def test_only_the_studies_opened_last_stay_in_the_queue(bench: Bench) -> None:
    names = [f"study {number}" for number in range(MAX_QUEUED + 1)]
    for name in names:
        bench.enqueue(name)
    assert [item["study"] for item in bench.encoder.as_json()] == names[:0:-1]


def test_labelled_studies_wait_for_opened_ones_and_none_of_them_is_dropped(bench: Bench) -> None:
    bench.enqueue("opened")
    labelled = [f"labelled {number}" for number in range(MAX_QUEUED + 1)]
    for name in labelled:
        bench.enqueue(name, again=False, labelled=True)
    queue = [item["study"] for item in bench.encoder.as_json()]
    assert queue == ["opened", *reversed(labelled)]


def test_a_labelled_study_that_is_opened_comes_first(bench: Bench) -> None:
    bench.enqueue("a", labelled=True)
    bench.enqueue("b", labelled=True)
    bench.enqueue("a")
    assert [item["study"] for item in bench.encoder.as_json()] == ["a", "b"]


def test_a_label_of_an_encoded_study_starts_nothing(bench: Bench) -> None:
    bench.enqueue("a")
    bench.encode(SLICES)
    bench.wait_until_done()
    bench.enqueue("a", again=False, labelled=True)
    assert bench.encoder.as_json() == []


def test_a_training_takes_the_labelled_studies_over_even_the_one_that_has_begun(
    bench: Bench,
) -> None:
    bench.enqueue("a", labelled=True)
    bench.encode(1)
    bench.encoder.leave_to_training()
    assert bench.encoder.as_json() == []
    bench.enqueue("b")
    bench.encode(1 + SLICES)  # the slice of a that had begun, then b
    assert bench.encoded == [("a", 0), ("a", 1), *(("b", s) for s in range(SLICES))]


@pytest.mark.parametrize("urgent", [True, False])
def test_an_inference_or_a_click_comes_between_and_the_study_is_not_read_again(
    bench: Bench, urgent: bool
) -> None:
    bench.enqueue("a")
    bench.encode(1)
    running = threading.Event()

    def work() -> None:
        with bench.jobs.job("b", urgent=urgent):
            running.set()

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: [job["study"] for job in bench.jobs.as_json()] == ["b"])
    bench.encode(1)
    assert running.wait(LONG_S)
    bench.encode(2)
    assert bench.studies_read == ["a"]
    thread.join(LONG_S)


@pytest.mark.parametrize("error", [InputError("NaN", expected="x", remedy="y"), OSError("gone")])
def test_a_study_that_cannot_be_read_is_logged_and_the_next_one_is_encoded(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Any:
        raise error

    with caplog.at_level(logging.WARNING):
        bench.encoder.enqueue("broken", 1, fail)
        bench.wait_until_done()
    assert "broken was not encoded" in caplog.text
    bench.enqueue("a")
    bench.encode(SLICES)
    assert len(bench.encoded) == SLICES


def context_of_alpha(tmp_path: Path, **conf: str) -> ServerContext:
    make_study(tmp_path / "studies", "alpha", 1)
    return open_context(
        str(tmp_path / "studies"), {"state": str(tmp_path / "state"), "target": "phantom", **conf}
    )


def queued_studies(ctx: ServerContext, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Records the studies queued from now on, without encoding them."""
    queued: list[dict[str, Any]] = []

    def enqueue(study: str, version: object, read_stack: Any, **options: Any) -> None:
        queued.append({"study": study, "read_stack": read_stack, "options": options})

    monkeypatch.setattr(ctx.background_encoder, "enqueue", enqueue)
    return queued


def test_the_setting_turns_off_all_encoding_but_the_requested_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context_of_alpha(tmp_path, prepare="false")
    queued = queued_studies(ctx, monkeypatch)
    alpha = ctx.datastore.catalogue.resolve("alpha")
    ctx.encode_opened(alpha)
    ctx.encode_session("1", tmp_path)
    ctx.encode_around(alpha, 1, 3)
    ctx.encode_labelled("alpha")
    assert queued == []
    ctx.encode(alpha, first=(2,))
    assert [item["study"] for item in queued] == ["alpha"]


def test_opening_one_sequence_encodes_the_whole_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context_of_alpha(tmp_path)
    queued = queued_studies(ctx, monkeypatch)
    ctx.encode_opened(ctx.datastore.catalogue.resolve("alpha/FLAIR"))
    (item,) = queued
    assert item["study"] == "alpha"
    stack = item["read_stack"]()
    assert stack.tissue.any(axis=1).all()
    assert stack.sequences == ("T2", "FLAIR")


def test_an_inference_a_click_and_the_background_read_a_study_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context_of_alpha(tmp_path)
    queued = queued_studies(ctx, monkeypatch)
    alpha = ctx.datastore.catalogue.resolve("alpha")
    stack = ctx.open_study(alpha).stack
    ctx.encode_around(alpha, 1, 3)
    ctx.encode_opened(alpha)
    assert [item["read_stack"]() is stack for item in queued] == [True, True]


def test_after_a_click_its_slice_comes_first_and_then_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context_of_alpha(tmp_path)
    queued = queued_studies(ctx, monkeypatch)
    ctx.encode_around(ctx.datastore.catalogue.resolve("alpha"), 3, 6)
    (item,) = queued
    assert item["options"] == {"first": (3, 2, 4, 1, 5, 0), "again": False}


def test_after_a_click_that_lacks_slices_a_study_is_encoded_even_if_it_was_lately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context_of_alpha(tmp_path)
    queued = queued_studies(ctx, monkeypatch)
    ctx.encode_around(ctx.datastore.catalogue.resolve("alpha"), 0, 3, again=True)
    (item,) = queued
    assert item["options"] == {"first": (0, 1, 2), "again": True}


def test_a_click_on_the_image_of_a_session_puts_its_slice_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context_of_alpha(tmp_path)
    queued = queued_studies(ctx, monkeypatch)
    file = save(tmp_path / "t2.nii.gz", head(5), affine())
    image = ctx.datastore.catalogue.temporary_study(file, "1")
    ctx.encode_around(image, 1, 3)  # sent along without a session
    assert queued == []
    ctx.encode_around(image, 1, 3, session="1")
    (item,) = queued
    assert (item["study"], item["options"]["first"]) == ("session 1", (1, 0, 2))
    assert item["read_stack"]() is ctx.open_study(image).stack


def preparing(server: Server) -> list[str]:
    progress = requests.get(f"{server.url}/zeus/progress", timeout=60).json()
    return [item["study"] for item in progress["preparing"]]


@pytest.fixture
def idle(server: Server) -> Iterator[Server]:
    """The server, which encodes nothing in the background before and after the test."""
    wait_until(lambda: preparing(server) == [])
    yield server
    server.preparation_held.unlink(missing_ok=True)
    wait_until(lambda: preparing(server) == [])


@pytest.fixture
def held(idle: Server) -> Server:
    """The idle server; a background encoding that it starts lasts as long as the test."""
    idle.preparation_held.touch()
    return idle


def test_a_requested_encoding_pauses_for_an_inference(
    held: Server, client: MONAILabelClient
) -> None:
    address = f"{held.url}/zeus/studies/slow/prepare"
    answer = requests.post(address, params={"slices": "3,2"}, timeout=60)
    assert answer.status_code == 202
    assert [item["study"] for item in answer.json()["preparing"]] == ["slow"]
    assert client.infer("zeus", "alpha", {})[1]["study"] == "alpha"
    assert preparing(held) == ["slow"]


def test_downloading_a_study_encodes_it(held: Server) -> None:
    requests.get(f"{held.url}/datastore/image?image=bravo", timeout=60).raise_for_status()
    assert preparing(held) == ["bravo"]


@pytest.fixture
def uploaded(held: Server, client: MONAILabelClient, tmp_path: Path) -> Iterator[str]:
    """A study that was never encoded. It is removed again: other modules ask the same server."""
    client.upload_image(str(save(tmp_path / "new_t2.nii.gz", head(9), affine())), "new")
    yield "new"
    requests.delete(f"{held.url}/datastore/image", params={"id": "new"}, timeout=60)


def test_a_study_is_encoded_when_its_final_label_is_submitted(
    held: Server, client: MONAILabelClient, uploaded: str, tmp_path: Path
) -> None:
    label = str(lesion_file(tmp_path / "label.nii.gz"))
    client.save_label(uploaded, label, tag="draft")
    assert preparing(held) == []
    client.save_label(uploaded, label)
    assert preparing(held) == [uploaded]


def test_the_next_sample_is_encoded(held: Server, client: MONAILabelClient) -> None:
    study = client.next_sample("first", {})["id"]
    assert preparing(held) == [study]


def test_the_file_of_a_new_session_is_encoded(
    held: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    file = save(tmp_path / "patient_t2.nii.gz", head(7), affine())
    session = client.create_session(str(file))["session_id"]
    assert preparing(held) == [f"session {session}"]


@pytest.mark.parametrize(
    ("study", "slices", "status"), [("nobody", "", 404), ("alpha", "a", 400), ("alpha", "-1", 400)]
)
def test_a_request_with_an_unknown_study_or_bad_slices_is_refused(
    server: Server, study: str, slices: str, status: int
) -> None:
    address = f"{server.url}/zeus/studies/{study}/prepare"
    assert requests.post(address, params={"slices": slices}, timeout=60).status_code == status
