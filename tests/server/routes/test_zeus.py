"""No name in the address of a route under /zeus makes it fail: the client gets a reason."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.server.conftest import head, make_study, save
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.routes.clicks import click_routes
from zeus_app.server.routes.zeus import zeus_routes
from zeus_app.server.security.faults import Faults

ODD = {
    "long": "a" * 5000,
    "a file's longest": "a" * 255,
    "percent-encoded to more": "é" * 100,
    "NUL": "a\0b",
    "newline": "a\nzeus: b",
    "a dot": "%2E",
    "two dots": "%2E%2E",
    "a path": "../../etc/passwd",
    "no UTF-8": "M%FCller",
    "a surrogate in UTF-8": "%ED%A0%80",
    "empty": "",
}  # a percent sign begins bytes of the address


@pytest.fixture(scope="module")
def ctx(tmp_path_factory: pytest.TempPathFactory) -> ServerContext:
    """A server's context with the study alpha, which has a prediction for T2."""
    folder = tmp_path_factory.mktemp("zeus")
    make_study(folder / "studies", "alpha", 1)
    opened = open_context(
        str(folder / "studies"), {"state": str(folder / "state"), "target": "phantom"}
    )
    saved = opened.state.predictions / "alpha" / "untrained"
    save(saved / "union.nii.gz", head(1), opened.datastore.catalogue.grid(
        opened.datastore.catalogue.resolve("alpha")).affine_ras)  # fmt: skip
    params = {"checkpoint": "untrained", "answered": 1.0, "used": ["T2"]}
    (saved / "answer.json").write_text(json.dumps(params))
    return opened


@pytest.fixture(scope="module")
def client(ctx: ServerContext) -> TestClient:
    server = FastAPI()
    for routes in (zeus_routes, click_routes):
        server.include_router(routes(lambda: ctx))
    Faults({}).install(server)
    return TestClient(server, raise_server_exceptions=False)


def addresses(client: TestClient, name: str) -> Iterator[tuple[str, str]]:
    """Method and address of every route, with the name in the place of one parameter."""
    plain = {"study": "alpha", "version": "1", "kind": "scribbles", "tag": "final"}
    for template, methods in client.get("/openapi.json").json()["paths"].items():
        for method, described in methods.items():
            places = {place["name"]: place["in"] for place in described.get("parameters", ())}
            for odd in places:
                values = {key: plain.get(key, "") for key in places}
                values[odd] = quote(name, safe="%")
                path = template.format_map(values)
                queries = [f"{key}={values[key]}" for key in places if places[key] == "query"]
                yield method, f"{path}?{'&'.join(queries)}"


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_no_name_makes_a_route_fail(client: TestClient, name: str) -> None:
    asked = list(addresses(client, name))
    assert len(asked) >= 12
    for method, address in asked:
        answer = client.request(method, address)
        assert answer.status_code < 500, (method, address[:80], answer.text)
        assert answer.status_code < 400 or answer.json()["detail"]


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "M%FCller"])
@pytest.mark.parametrize(
    "address",
    [
        "labels/{}",
        "labels/alpha?tag={}",
        "originals/{}",
        "originals/{}/mask",
        "originals/alpha/mask?sequence={}",
        "clicks/{}",
    ],
)
def test_an_unknown_name_is_answered_with_a_reason(
    client: TestClient, address: str, name: str
) -> None:
    answer = client.get("/zeus/" + address.format(quote(name, safe="%")))
    assert answer.status_code in (400, 404)
    assert "Expected: " in answer.json()["detail"]


def test_the_masks_of_a_prediction_are_found_by_sequence(client: TestClient) -> None:
    assert client.get("/zeus/originals/alpha/mask").status_code == 200
    assert client.get("/zeus/originals/alpha/mask?sequence=T2").status_code == 404  # no such file
    refused = client.get("/zeus/originals/alpha/mask?sequence=FLAIR")
    assert "has no mask of sequence 'FLAIR'. Expected: T2." in refused.json()["detail"]


def test_the_list_of_studies_shows_names_that_are_no_utf8(
    ctx: ServerContext, client: TestClient, tmp_path: Path
) -> None:
    studies = ctx.datastore.catalogue._folder
    odd = os.fsdecode(b"M\xfcller")
    make_study(studies, "bravo", 2)
    (studies / "bravo").rename(studies / odd)
    (studies / "bravo").mkdir()
    (studies / "bravo" / f"{odd}.dcm").write_bytes(b"no DICOM")
    answer = client.get("/zeus/studies?refresh=true")
    assert answer.status_code == 200
    listed = answer.json()
    assert set(listed["studies"]) == {"alpha"}
    problems = {problem["study"]: problem for problem in listed["problems"]}
    assert set(problems) == {"M_xfcller", "bravo"}
    assert set(problems["M_xfcller"]["files"]) == {
        rf"{studies}/M\xfcller/bravo_{sequence}.nii.gz" for sequence in ("t2", "flair")
    }
    assert "rename it" in problems["M_xfcller"]["reason"]
    json.dumps(ctx.datastore.json()).encode()
    ctx.log_studies()
