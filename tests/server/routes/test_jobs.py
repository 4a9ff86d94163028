"""POST /infer with async=true against a real server: the job, its result, and its end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from tests.server import running
from tests.server.conftest import affine, head, make_study, save
from tests.waiting import wait_until
from zeus_app.server.routes.jobs import owner_of

Json = dict[str, Any]


def post(
    server: running.Server, image: str, model: str = "zeus", *, output: str = "", **params: Any
) -> requests.Response:
    query = {"image": image, "async": "true", **({"output": output} if output else {})}
    data = {"params": json.dumps(params)}
    return requests.post(f"{server.url}/infer/{model}", params=query, data=data, timeout=60)


def started(server: running.Server, image: str, model: str = "zeus", **params: Any) -> Json:
    response = post(server, image, model, **params)
    assert response.status_code == 202, response.text
    job: Json = response.json()
    assert response.headers["Location"] == job["status"] == f"/zeus/jobs/{job['job']}"
    return job


def state(server: running.Server, job: Json) -> Json:
    known: Json = requests.get(server.url + job["status"], timeout=60).json()
    return known


def result(server: running.Server, job: Json, output: str = "") -> requests.Response:
    query = {"output": output} if output else {}
    return requests.get(server.url + job["result"], params=query, timeout=60)


def ended(server: running.Server, job: Json) -> str:
    wait_until(lambda: state(server, job)["state"] in {"done", "failed"}, timeout_s=60)
    return str(state(server, job)["state"])


def stock(server: running.Server, image: str, output: str) -> requests.Response:
    query = {"image": image, "output": output}
    return requests.post(f"{server.url}/infer/zeus", params=query, timeout=60)


@pytest.fixture
def released(server: running.Server) -> Iterator[Path]:
    """The file that lets the study "slow" end."""
    server.released.unlink(missing_ok=True)
    yield server.released
    server.released.unlink(missing_ok=True)


def test_a_job_gives_what_the_stock_form_answers(server: running.Server) -> None:
    job = started(server, "alpha")
    assert ended(server, job) == "done"
    image = result(server, job, "image")
    assert image.ok
    assert image.content == stock(server, "alpha", "image").content
    params, expected = result(server, job, "json").json(), stock(server, "alpha", "json").json()
    for answer in (params, expected):
        answer.pop("latencies_ms")
    assert params == expected
    both = result(server, job)
    assert both.headers["Content-Type"].startswith("multipart/form-data")
    assert (
        both.headers["Content-Type"].split(";")[0]
        == stock(server, "alpha", "all").headers["Content-Type"].split(";")[0]
    )


def test_the_output_of_the_request_is_that_of_the_result_s_address(server: running.Server) -> None:
    job = started(server, "alpha", output="json")
    assert ended(server, job) == "done"
    assert requests.get(server.url + job["result"], timeout=60).json()["study"] == "alpha"


def test_a_running_job_tells_its_progress_and_has_no_result_yet(
    server: running.Server, released: Path
) -> None:
    job = started(server, "slow")
    wait_until(lambda: state(server, job)["state"] == "running")
    wait_until(lambda: state(server, job).get("stage") == "encoding")
    assert state(server, job)["study"] == "slow"
    early = result(server, job)
    assert early.status_code == 409
    assert "Retry-After" in early.headers
    released.touch()
    assert ended(server, job) == "done"


def test_a_job_behind_another_is_queued(server: running.Server, released: Path) -> None:
    first, second = started(server, "slow"), started(server, "alpha")
    wait_until(lambda: state(server, first)["state"] == "running")
    assert state(server, second)["state"] == "queued"
    released.touch()
    assert [ended(server, job) for job in (first, second)] == ["done", "done"]


def test_a_cancelled_job_ends_and_is_forgotten(server: running.Server, released: Path) -> None:
    job = started(server, "slow")
    wait_until(lambda: state(server, job)["state"] == "running")
    answer = requests.delete(server.url + job["status"], timeout=60).json()
    assert answer == {"job": job["job"], "cancelled": True}
    progress = f"{server.url}/zeus/progress"
    wait_until(lambda: not requests.get(progress, timeout=60).json()["inference"])
    for response in (result(server, job), requests.get(server.url + job["status"], timeout=60)):
        assert response.status_code == 404


def test_equal_requests_share_one_run(server: running.Server, released: Path) -> None:
    jobs = [started(server, "slow") for _ in range(2)]
    assert jobs[0]["job"] != jobs[1]["job"]
    wait_until(lambda: all(state(server, job)["state"] == "running" for job in jobs))
    progress = requests.get(f"{server.url}/zeus/progress", timeout=60).json()
    assert len(progress["inference"]) == 1
    requests.delete(server.url + jobs[0]["status"], timeout=60)
    released.touch()
    assert ended(server, jobs[1]) == "done"
    assert result(server, jobs[1], "image").ok


@pytest.mark.parametrize(
    ("image", "model", "params", "status"),
    [
        ("alpha", "zuse", {}, 404),
        ("nobody", "zeus", {}, 404),
        ("", "zeus", {}, 400),
        ("alpha", "zeus", {"scope": "some"}, 400),
        ("alpha", "zeus", {"volume": 3}, 400),
        ("alpha", "zeus", {"text": "bright"}, 400),
        ("alpha", "zeus", {"sequences": "T9"}, 404),
        ("alpha", "clicks", {"foreground": [[1, 2]]}, 400),
    ],
)
def test_what_can_be_refused_early_starts_no_job(
    server: running.Server, image: str, model: str, params: Json, status: int
) -> None:
    response = post(server, image, model, **params)
    assert response.status_code == status
    assert "What to do" in response.json()["detail"]


def test_a_job_that_fails_answers_with_its_error(server: running.Server) -> None:
    job = started(server, "alpha", "clicks", foreground=[[90, 4, 2]], label="lesion")
    assert ended(server, job) == "failed"
    response = result(server, job)
    assert response.status_code == 400
    assert "a click on lesion at voxel" in response.json()["detail"]


def test_a_file_of_the_request_outlives_it(server: running.Server, tmp_path: Path) -> None:
    image = save(tmp_path / "patient_t2.nii.gz", head(31), affine())
    with image.open("rb") as file:
        response = requests.post(
            f"{server.url}/infer/zeus", params={"async": "true"}, files={"file": file}, timeout=60
        )
    assert response.status_code == 202
    assert ended(server, response.json()) == "done"
    assert result(server, response.json(), "json").json()["used"] == ["T2"]


def test_an_unknown_job_is_told_with_what_to_do(server: running.Server) -> None:
    for method in ("GET", "DELETE"):
        response = requests.request(method, f"{server.url}/zeus/jobs/nothing", timeout=60)
        assert response.status_code == 404
        assert "async=true" in response.json()["detail"]


def test_a_server_that_ends_takes_its_jobs_with_it(tmp_path: Path) -> None:
    make_study(tmp_path / "studies", "slow", 1)
    make_study(tmp_path / "studies", "alpha", 2)
    server = running.start(tmp_path / "studies", tmp_path / "state", {"target": "phantom"})
    try:
        job = started(server, "slow")
        wait_until(lambda: state(server, job)["state"] == "running")
        server.process.terminate()
        wait_until(lambda: running.has_ended(server), timeout_s=14)
    finally:
        running.stop(server)
    assert "Traceback" not in server.log_text()


def test_a_job_belongs_to_the_user_who_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert owner_of(User(username="ann")) == ""
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", True)
    assert owner_of(User(username="ann")) == "ann"
