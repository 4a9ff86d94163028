"""JSON of forms and bodies: what breaks a bound is refused with status 400 and a reason."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.requests import Request

from zeus_app.errors import InputError
from zeus_app.server.routes.forms import JSON_BODY, Params, json_object
from zeus_app.storage.strict_json import MAX_BYTES

HOSTILE = [
    "{", "[]", "3", '"x"', "NaN", '{"a": NaN}', '{"a": 1e999}', r'{"a": "\ud800"}',
    r'{"\ud800": 1}', '{"a": ' * 100_000, "[" * 100_000, '{"a": ' + "9" * 5000 + "}",
    '{"a": ' + "9" * 400 + "}", '{"a": "' + "x" * MAX_BYTES + '"}', "\x00",
]  # fmt: skip


@pytest.fixture
def client() -> TestClient:
    """A server of one route, which answers with the parameters that it got."""
    app = FastAPI()

    @app.post("/echo", openapi_extra=JSON_BODY)
    def echo(params: Params) -> dict[str, Any]:
        return params

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=400)

    app.add_exception_handler(InputError, refuse)
    return TestClient(app)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_form_is_bad_input(text: str) -> None:
    with pytest.raises(InputError, match="a JSON object") as caught:
        json_object(text)
    assert len(str(caught.value)) < 600
    str(caught.value).encode()  # the message itself can be sent


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_a_hostile_body_is_refused_whatever_its_content_type(
    client: TestClient, text: str, content_type: str
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    response = client.post("/echo", content=text.encode(), headers=headers)
    assert response.status_code == 400
    assert "a JSON object" in response.json()["detail"]


def test_a_body_that_is_no_text_is_refused(client: TestClient) -> None:
    assert client.post("/echo", content=b"\xff\x00\xfe").status_code == 400


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b" null "])
def test_no_body_an_empty_object_and_null_are_no_parameters(
    client: TestClient, body: bytes
) -> None:
    assert client.post("/echo", content=body).json() == {}


def test_an_ordinary_body_arrives(client: TestClient) -> None:
    params = {"epochs": 3, "exclude": "Müller"}
    assert client.post("/echo", content=json.dumps(params)).json() == params


def test_an_empty_form_is_an_empty_object() -> None:
    assert json_object("") == {}


def test_the_api_page_describes_the_body(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    body = schema["paths"]["/echo"]["post"]["requestBody"]["content"]
    assert body == {"application/json": {"schema": {"type": "object"}}}
