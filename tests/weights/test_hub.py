"""Weights from the hub."""

from typing import Any

import pytest
from huggingface_hub import constants

from tests.weights.served import (
    COMMIT,
    CONFIG,
    PARAMETERS,
    Server,
    half_a_download,
    here,
    known_file,
    use_hub,
    zipped,
)
from tests.weights.tiny import sha256
from zeus_app.errors import InputError
from zeus_app.weights import get, weights_folder

HUB = {"hub": "owner/model", "revision": COMMIT}
HUB_PATH = f"/owner/model/resolve/{COMMIT}/"


@pytest.fixture
def hub(server: Server) -> Server:
    server.files = {HUB_PATH + "model.bin": PARAMETERS, HUB_PATH + "config.json": CONFIG}
    server.etags = {  # the hub's ETag is the SHA-256 of a large file, git's SHA-1 of a small one
        HUB_PATH + "model.bin": f'"{sha256(PARAMETERS)}"',
        HUB_PATH + "config.json": f'"{COMMIT}"',
    }
    return server


def test_the_hub_s_files_come_from_the_commit_that_is_named(hub: Server, know: Any) -> None:
    know(HUB, known_file(), {"path": "config.json"})
    assert get("tiny").read_bytes() == PARAMETERS
    assert (weights_folder() / "tiny" / "config.json").read_bytes() == CONFIG
    assert here() == {"model.bin", "config.json", "hashes.json"}


def test_a_killed_download_from_the_hub_continues_too(hub: Server, know: Any) -> None:
    know(HUB, known_file())
    size = half_a_download()
    assert get("tiny").read_bytes() == PARAMETERS
    assert hub.ranges == [None, f"bytes={size}-"]


def test_the_hash_that_the_hub_states_is_compared(hub: Server, know: Any) -> None:
    hub.files[HUB_PATH + "model.bin"] = PARAMETERS[::-1]
    know(HUB, {"path": "model.bin"})
    with pytest.raises(InputError, match=f"Expected: SHA-256 {sha256(PARAMETERS)}"):
        get("tiny")


def test_a_hub_that_states_another_hash_is_refused_before_the_download(
    hub: Server, know: Any
) -> None:
    know(HUB, {"path": "model.bin", "sha256": "0" * 64})
    with pytest.raises(InputError, match="the hub states SHA-256"):
        get("tiny")
    assert hub.ranges == []


def test_the_token_of_the_environment_is_sent(
    hub: Server, know: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    know(HUB, known_file())
    get("tiny")
    tokens = {
        headers.get("Authorization", headers.get("authorization")) for _, headers in hub.requests
    }
    assert tokens == {"Bearer hf_of_a_test"}


def test_a_gated_repository_says_where_to_agree(hub: Server, know: Any) -> None:
    hub.refused[HUB_PATH + "model.bin"] = (403, "GatedRepo")
    know(HUB, known_file())
    with pytest.raises(InputError, match=r"agree at http://.*/owner/model, then set HF_TOKEN"):
        get("tiny")


def test_a_file_that_the_repository_lacks_is_named(hub: Server, know: Any) -> None:
    know(HUB, {"path": "absent.bin"})
    with pytest.raises(InputError, match=r"the hub did not give absent\.bin of owner/model"):
        get("tiny")


def test_an_unreachable_hub_is_reported_with_the_manual_remedy(
    hub: Server, know: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(monkeypatch, "http://127.0.0.1:9")
    know(HUB, known_file())
    with pytest.raises(InputError, match=r"the hub did not give model\.bin(.|\n)*by hand"):
        get("tiny")


def test_offline_mode_is_respected(hub: Server, know: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    know(HUB, known_file())
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        get("tiny")
    assert hub.requests == []


def test_each_file_comes_from_its_own_source(hub: Server, know: Any) -> None:
    hub.files["/all.zip"] = zipped({"model.bin": PARAMETERS})
    know(
        {"url": hub.url + "/all.zip", "zip": True}, known_file(),
        {"path": "config.json", "source": HUB},
    )  # fmt: skip
    get("tiny")
    assert here() == {"model.bin", "config.json", "hashes.json"}
