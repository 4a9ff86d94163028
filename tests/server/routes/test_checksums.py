"""A client learns whether its copy of an image still matches."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from zeus_app.server.routes.checksums import checksum_routes
from zeus_app.server.security.faults import Faults

CONTENT = b"voxels"


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    path = tmp_path / "image.nii.gz"
    path.write_bytes(CONTENT)
    catalogue = SimpleNamespace(resolve=lambda image: image, volume_file=lambda resolved: path)
    app: Any = SimpleNamespace(
        context=SimpleNamespace(datastore=SimpleNamespace(catalogue=catalogue))
    )
    server = FastAPI()
    server.include_router(checksum_routes(lambda: app))
    Faults({}).install(server)
    return TestClient(server)


@pytest.mark.parametrize(
    ("check_sum", "status"),
    [
        ("", 200),
        (f"SHA256:{hashlib.sha256(CONTENT).hexdigest()}", 200),
        (hashlib.sha256(CONTENT).hexdigest(), 200),
        (f"SHA512:{hashlib.sha512(CONTENT).hexdigest().upper()}", 200),
        (f"MD5:{hashlib.md5(CONTENT).hexdigest()}", 200),
        (f"MD5:{hashlib.md5(b'other').hexdigest()}", 404),
        ("FOO:x", 400),
        ("MD5:", 400),
        ("MD5:00", 400),
        ("SHA1:" + "0" * 40, 400),
        ("MD5:" + "0" * 31 + "\u0660", 400),  # an Arabic digit
        (":" * 5000, 400),
    ],
)
def test_a_checksum_is_compared_or_refused(client: TestClient, check_sum: str, status: int) -> None:
    params = {"image": "a", "check_sum": check_sum}
    assert client.head("/datastore/image", params=params).status_code == status
