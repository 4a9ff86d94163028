"""Weights from a web server."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.weights.served import (
    PARAMETERS,
    PATH,
    Server,
    half_a_download,
    here,
    known_file,
    zipped,
)
from tests.weights.tiny import sha256
from zeus_app.errors import InputError
from zeus_app.weights import State, get, state_of, weights_folder


def test_a_file_is_downloaded_and_nothing_else_is_left(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    assert get("tiny").read_bytes() == PARAMETERS
    assert here() == {"model.bin"}


def test_progress_ends_at_the_file_s_size(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    reports: list[tuple[str, int, int]] = []
    get("tiny", lambda stage, done, total: reports.append((stage, done, total)))
    assert reports[-1] == ("weights tiny", 5_120_000, 5_120_000)
    assert len(reports) > 2


def test_a_killed_download_continues_where_it_stopped(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    size = half_a_download()
    assert 0 < size < len(PARAMETERS)
    assert get("tiny").read_bytes() == PARAMETERS
    assert server.ranges == [None, f"bytes={size}-"]
    assert here() == {"model.bin"}


def test_another_process_continues_the_download_of_a_killed_one(server: Server, know: Any) -> None:
    partial = weights_folder() / "tiny" / "model.bin.partial"
    partial.parent.mkdir(parents=True)
    code = f"""
import os, signal
from pathlib import Path
from zeus_app.weights.urls import Address, download
done = 0
def count(size):
    global done
    done += size
    if done > {len(PARAMETERS) // 2}:
        os.kill(os.getpid(), signal.SIGKILL)
download(Address({server.url + PATH!r}), Path({str(partial)!r}), count)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    size = partial.stat().st_size
    know({"url": server.url + PATH}, {"path": "model.bin"})
    assert get("tiny").read_bytes() == PARAMETERS
    assert server.ranges == [None, f"bytes={size}-"]


def test_after_a_broken_connection_the_next_call_continues(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    server.breaks_after = 3_000_000
    with pytest.raises(InputError, match=r"stopped at .* bytes(.|\n)*continues where it stopped"):
        get("tiny")
    server.breaks_after = None
    assert get("tiny").read_bytes() == PARAMETERS
    assert server.ranges[1] is not None


def test_a_server_without_ranges_sends_it_all_again(server: Server, know: Any) -> None:
    server.knows_ranges = False
    know({"url": server.url + PATH}, known_file())
    half_a_download()
    assert get("tiny").read_bytes() == PARAMETERS


def test_a_download_killed_after_its_last_byte_is_not_repeated(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    half_a_download()
    (weights_folder() / "tiny" / "model.bin.partial").write_bytes(PARAMETERS)
    assert get("tiny").read_bytes() == PARAMETERS
    assert len(server.ranges) == 1


def test_a_partial_file_that_is_too_long_is_discarded(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    half_a_download()
    (weights_folder() / "tiny" / "model.bin.partial").write_bytes(PARAMETERS + b"more")
    assert get("tiny").read_bytes() == PARAMETERS


def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, {"path": "model.bin"})
    half_a_download()
    server.files[PATH], server.etags[PATH] = PARAMETERS[::-1], '"two"'
    assert get("tiny").read_bytes() == PARAMETERS[::-1]


def test_without_hash_and_etag_a_download_starts_again(server: Server, know: Any) -> None:
    server.etags.clear()
    know({"url": server.url + PATH}, {"path": "model.bin"})
    half_a_download()
    assert get("tiny").read_bytes() == PARAMETERS
    assert server.ranges == [None, None]


def test_a_hash_stated_nowhere_is_recorded_at_the_download(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, {"path": "model.bin"})
    get("tiny")
    assert state_of("tiny") == State.RECORDED


def test_a_server_with_another_file_is_refused_with_both_hashes(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    server.files[PATH] = PARAMETERS[::-1]
    with pytest.raises(InputError) as refused:
        get("tiny")
    assert sha256(PARAMETERS[::-1]) in str(refused.value)
    assert sha256(PARAMETERS) in str(refused.value)
    assert here() == set()


def test_a_missing_file_is_reported_with_its_address(server: Server, know: Any) -> None:
    know({"url": server.url + "/gone"}, known_file())
    with pytest.raises(InputError, match="/gone stopped at 0 bytes: 404"):
        get("tiny")


def test_two_downloads_of_one_file_do_not_mix(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    refused: list[InputError] = []

    def get_again(stage: str, done: int, total: int) -> None:
        if not refused:
            with pytest.raises(InputError, match="written by another process") as error:
                get("tiny")
            refused.append(error.value)

    assert get("tiny", get_again).read_bytes() == PARAMETERS
    assert len(refused) == 1


def test_the_member_of_a_zip_is_taken_out_and_the_zip_removed(server: Server, know: Any) -> None:
    server.files["/all.zip"] = zipped({"model.bin": PARAMETERS, "README": b"hello"})
    know({"url": server.url + "/all.zip", "zip": True}, known_file())
    assert get("tiny").read_bytes() == PARAMETERS
    assert here() == {"model.bin"}


@pytest.mark.parametrize("data", [zipped({"other.bin": b""}), b"<html>quota exceeded</html>"])
def test_a_zip_without_the_member_is_refused(server: Server, know: Any, data: bytes) -> None:
    server.files["/all.zip"] = data
    know({"url": server.url + "/all.zip", "zip": True}, known_file())
    with pytest.raises(InputError, match="is no zip with the expected files"):
        get("tiny")
