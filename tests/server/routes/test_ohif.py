"""The viewer's files are served, also those of subfolders, and no other file."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from zeus_app.server.routes.ohif import VIEWER, viewer_routes


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    folder = tmp_path / "ohif"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("viewer")
    (folder / "assets" / "icon.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "fonts.html").write_text(
        '<link rel="preconnect" href="https://f.example" crossorigin/><link href="/ohif/a.css"/>'
    )
    (folder / "a.css").write_text("@import url(https://f.example/css?a:1&b);\nbody{margin:0}")
    (folder / "link").symlink_to(tmp_path / "secret.txt")
    server = FastAPI()
    server.include_router(viewer_routes(folder))
    return TestClient(server)


def test_a_file_of_a_subfolder_has_its_own_type(client: TestClient) -> None:
    answer = client.get("/ohif/assets/icon.svg")
    assert answer.text == "<svg/>"
    assert answer.headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    ("name", "content_type", "text"),
    [
        ("fonts.html", "text/html; charset=utf-8", '<link href="/ohif/a.css"/>'),
        ("a.css", "text/css; charset=utf-8", "\nbody{margin:0}"),
    ],
)
def test_no_page_asks_another_site_for_fonts(
    client: TestClient, name: str, content_type: str, text: str
) -> None:
    answer = client.get(f"/ohif/{name}")
    assert answer.text == text
    assert answer.headers["content-type"] == content_type


@pytest.mark.parametrize("path", ["", "app.bundle.css"])
def test_the_viewer_of_the_wheel_asks_no_other_site_for_fonts(path: str) -> None:
    server = FastAPI()
    server.include_router(viewer_routes())
    text = TestClient(server).get(f"/ohif/{path}").text
    assert len(text) > 1000
    assert "fonts.g" not in text


@pytest.mark.parametrize(
    "path", ["", "viewer?StudyInstanceUIDs=1.2", "assets", "..", ".", "%2e%2e/secret.txt",
             "..%2fsecret.txt", "link", "a%00b", "/etc/passwd", "a" * 300, "a/" * 2000]
)  # fmt: skip
def test_every_other_path_is_a_page_of_the_viewer(client: TestClient, path: str) -> None:
    answer = client.get(f"/ohif/{path}")
    assert answer.status_code in (200, 404)
    assert "secret" not in answer.text
    assert answer.text == "viewer" or answer.status_code == 404


def settings_of(*, can_store: bool) -> str:
    server = FastAPI()
    server.include_router(viewer_routes(can_store=lambda: can_store))
    answer = TestClient(server).get("/ohif/app-config.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    return answer.text


def test_the_viewer_of_the_wheel_asks_this_server_for_studies() -> None:
    settings = settings_of(can_store=False)
    assert "qidoRoot: '/proxy/dicom/qido'" in settings
    assert "wadoRoot: '/proxy/dicom/wado'" in settings


def test_the_panel_of_the_viewer_asks_this_server() -> None:
    """By itself, it asks port 8000. Its bundle reads the address from this cookie."""
    assert "MONAILABEL_SERVER_URL=' + escape(window.location.origin" in settings_of(can_store=False)
    assert any("'MONAILABEL_SERVER_URL'" in file.read_text() for file in VIEWER.glob("3933.*.js"))


@pytest.mark.parametrize(("can_store", "count"), [(True, 0), (False, 1)])
def test_the_viewer_offers_no_upload_that_would_be_refused(can_store: bool, count: int) -> None:
    assert settings_of(can_store=can_store).count("dicomUploadEnabled = false") == count


def test_the_wheel_ships_the_viewer() -> None:
    assert (VIEWER / "index.html").is_file()
