"""Status and end of tasks over HTTP, and the two forms of a request that starts all tasks."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.utils.async_tasks.utils import background_tasks

from zeus_app.errors import InputError
from zeus_app.server.routes.tasks import params_by_name, task_routes

PATHS = {"train": "/train/", "scoring": "/scoring/", "batch_infer": "/batch/infer"}


@pytest.fixture
def client() -> Iterator[TestClient]:
    background_tasks.clear()
    app = FastAPI()
    app.include_router(task_routes())
    yield TestClient(app)
    background_tasks.clear()


def task(number: int, status: str) -> dict[str, Any]:
    return {"id": f"t{number}", "status": status, "request": {}, "details": ["a line"]}


@pytest.mark.parametrize(("kind", "path"), PATHS.items())
def test_the_newest_the_unfinished_or_all_tasks_are_told(
    client: TestClient, kind: str, path: str
) -> None:
    statuses = ("DONE", "RUNNING", "SUBMITTED")
    background_tasks[kind] = [task(number, status) for number, status in enumerate(statuses)]
    assert client.get(path).json()["id"] == "t2"
    assert client.get(path, params={"check_if_running": True}).json()["id"] == "t1"
    assert [t["id"] for t in client.get(path, params={"all": True}).json()] == ["t0", "t1", "t2"]


@pytest.mark.parametrize("path", PATHS.values())
def test_without_a_task_the_status_is_404_and_stopping_is_no_error(
    client: TestClient, path: str
) -> None:
    for params in ({}, {"all": True}, {"check_if_running": True}):
        assert client.get(path, params=params).status_code == 404
    assert client.delete(path).json() is None


def test_a_task_that_ended_does_not_run(client: TestClient) -> None:
    background_tasks["train"] = [task(0, "ERROR"), task(1, "STOPPED")]
    assert client.get("/train/", params={"check_if_running": True}).status_code == 404


def test_parameters_at_the_top_are_for_all_tasks_and_a_task_s_own_win() -> None:
    params = {"epochs": 1, "seed": 2, "zeus": {"seed": 3}, "other": None}
    assert params_by_name(params, ("zeus", "other")) == {
        "zeus": {"epochs": 1, "seed": 3}, "other": {"epochs": 1, "seed": 2},
    }  # fmt: skip


@pytest.mark.parametrize("value", [5, 0, "", "x", [], [1], False])
def test_parameters_of_a_task_that_are_no_object_are_refused(value: object) -> None:
    with pytest.raises(InputError, match="an object"):
        params_by_name({"zeus": value}, ("zeus",))
