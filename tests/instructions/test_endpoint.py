import base64
import io
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zeus_app.errors import InputError
from zeus_app.instructions.endpoint import ChatEndpoint

PICTURES = np.linspace(0, 1, 2 * 4 * 4, dtype=np.float32).reshape(2, 4, 4)


class LlmServer(HTTPServer):
    """Gives every request the same answer, and records the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body = 200, answer("A bright mass.")
        self.headers: dict[str, str] = {}
        self.paths: list[str] = []
        self.sent: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: LlmServer

    def do_POST(self) -> None:
        self.server.paths.append(self.path)
        length = int(self.headers["Content-Length"])
        self.server.sent.append(json.loads(self.rfile.read(length)))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, *args: object) -> None: ...


def answer(text: str | None) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_words_alone_are_sent_exactly_so(server: LlmServer) -> None:
    ChatEndpoint(server.url, "vicuna").generate(PICTURES, ["Where?"], max_tokens=9)
    assert server.paths == ["/v1/chat/completions"]
    assert server.sent == [
        {
            "model": "vicuna",
            "messages": [
                {
                    "role": "system",
                    "content": "You are a helpful health-care virtual assistant.",
                },
                {"role": "user", "content": "Where?"},
            ],
            "max_tokens": 9,
            "temperature": 0,
            "seed": 0,
            "stream": False,
        }
    ]


def test_the_slice_is_sent_as_a_png_before_the_question(server: LlmServer) -> None:
    ChatEndpoint(server.url, "medgemma", send_pictures=True).generate(
        PICTURES, ["Where?", "What?"], max_tokens=9
    )
    image, text = server.sent[1]["messages"][1]["content"]
    assert text == {"type": "text", "text": "What?"}
    assert image["type"] == "image_url"
    head, _, png = image["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))
    assert pixels.tolist() == np.rint(PICTURES[1] * 255).tolist()


def test_texts_come_back_stripped_and_in_order(server: LlmServer) -> None:
    server.body = answer(" A bright mass.\n")
    endpoint = ChatEndpoint(server.url, "vicuna")
    assert endpoint.generate(None, ["Where?", "What?"], max_tokens=9) == ["A bright mass."] * 2


def test_thoughts_are_removed(server: LlmServer) -> None:
    server.body = answer("<think>Hm.</think>\n\nA bright mass.")
    assert ChatEndpoint(server.url, "r1").generate(None, ["Where?"], max_tokens=9) == [
        "A bright mass."
    ]


def test_a_slash_at_the_addresss_end_does_no_harm(server: LlmServer) -> None:
    ChatEndpoint(server.url + "/", "vicuna").generate(None, ["Where?"], max_tokens=9)
    assert server.paths == ["/v1/chat/completions"]


def test_a_refusal_is_shown(server: LlmServer) -> None:
    server.status, server.body = 404, '{"error": "model vicuna does not exist"}'
    with pytest.raises(InputError, match=r"answered 404: (.|\n)*model vicuna does not exist"):
        ChatEndpoint(server.url, "vicuna").generate(None, ["Where?"], max_tokens=9)


def test_a_redirection_is_not_followed(server: LlmServer) -> None:
    server.status, server.headers = 307, {"Location": "/elsewhere"}
    with pytest.raises(InputError, match="answered 307"):
        ChatEndpoint(server.url, "vicuna").generate(None, ["Where?"], max_tokens=9)
    assert server.paths == ["/v1/chat/completions"]


@pytest.mark.parametrize("body", ["<html>", "[]", '{"choices": []}', answer(None)])
def test_an_answer_that_is_no_chat_completion_is_refused(server: LlmServer, body: str) -> None:
    server.body = body
    with pytest.raises(InputError, match="choices"):
        ChatEndpoint(server.url, "vicuna").generate(None, ["Where?"], max_tokens=9)


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(InputError, match=r"does not answer(.|\n)*start the server"):
        ChatEndpoint(url, "vicuna").generate(None, ["Where?"], max_tokens=9)


def test_a_server_that_is_too_slow_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(InputError, match=r"an answer within 0\.1 s"):
            ChatEndpoint(url, "vicuna", timeout_s=0.1).generate(None, ["Where?"], max_tokens=9)


def test_a_proxy_of_the_environment_sees_nothing(
    server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    ChatEndpoint(server.url, "vicuna").generate(None, ["Where?"], max_tokens=9)
    assert len(server.sent) == 1


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "file:///etc/passwd", "", "http://"])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="LLM server"):
        ChatEndpoint(url, "vicuna")


def test_pictures_that_are_to_be_sent_must_be_one_a_prompt() -> None:
    endpoint = ChatEndpoint("http://127.0.0.1:9/v1", "medgemma", send_pictures=True)
    with pytest.raises(InputError, match="2 pictures, and 1 prompts"):
        endpoint.generate(PICTURES, ["Where?"], max_tokens=9)


def test_its_id_names_the_model_and_what_is_sent_but_not_the_address() -> None:
    here = ChatEndpoint("http://127.0.0.1:8000/v1", "medgemma", send_pictures=True)
    there = ChatEndpoint("http://10.0.0.7:8000/v1", "medgemma", send_pictures=True)
    assert here.id == there.id == "medgemma-endpoint-pictures"
    assert ChatEndpoint("http://127.0.0.1:8000/v1", "medgemma").id == "medgemma-endpoint-words"


def test_it_says_whether_it_sees_pictures() -> None:
    url = "http://127.0.0.1:8000/v1"
    assert ChatEndpoint(url, "medgemma", send_pictures=True).sees_pictures
    assert not ChatEndpoint(url, "medgemma").sees_pictures
