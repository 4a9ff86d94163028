"""A body that is too large is refused, whatever its header says of its length."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request, UploadFile
from fastapi.testclient import TestClient

from zeus_app.server.security.body_size import MAX_PLAIN_BYTES, MIB, BodyLimit


@pytest.fixture
def client() -> TestClient:
    server = FastAPI()

    @server.post("/files")
    def files(file: UploadFile) -> int:
        return len(file.file.read())

    @server.post("/plain")
    async def plain(request: Request) -> int:
        return len(await request.body())

    server.add_middleware(BodyLimit, max_bytes=6 * MIB)
    return TestClient(server)


@pytest.mark.parametrize(("mib", "status"), [(5, 200), (6, 413), (7, 413)])
def test_a_form_with_files_may_have_as_many_bytes_as_the_setting_says(
    client: TestClient, mib: int, status: int
) -> None:
    answer = client.post("/files", files={"file": ("x", bytes(mib * MIB))})
    assert answer.status_code == status
    assert status == 200 or "at most 6 MiB" in answer.json()["detail"]


def test_another_body_is_held_in_memory_and_must_be_small(client: TestClient) -> None:
    assert client.post("/plain", content=bytes(MAX_PLAIN_BYTES)).json() == MAX_PLAIN_BYTES
    answer = client.post("/plain", content=bytes(MAX_PLAIN_BYTES + 1))
    assert answer.status_code == 413
    assert "at most 4 MiB" in answer.json()["detail"]


def test_what_arrives_counts_where_no_length_is_stated(client: TestClient) -> None:
    def blocks() -> Iterator[bytes]:
        for _ in range(5):
            yield bytes(MIB)

    assert client.post("/plain", content=blocks()).status_code == 413


@pytest.mark.parametrize("length", ["100000000000000", "9" * 30])
def test_a_stated_length_is_refused_before_it_arrives(client: TestClient, length: str) -> None:
    answer = client.post("/plain", content=b"x", headers={"content-length": length})
    assert answer.status_code == 413
