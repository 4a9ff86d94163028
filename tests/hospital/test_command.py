"""`zeus hospital` as a user starts and stops it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.server.running import START_TIMEOUT_S, environment, free_port
from tests.waiting import wait_until
from zeus_app.errors import InputError
from zeus_app.server.lifecycle.server_command import LOOPBACK, check_port

pytestmark = [pytest.mark.orthanc, pytest.mark.slow]

Hospital = tuple[subprocess.Popen[bytes], int]
"""The process, and the first of its three ports."""


def three_free_ports() -> int:
    """The first of three ports in a row that no program listens on."""
    while True:
        port = free_port()
        if port + 2 < 65536 and all(map(is_free, range(port, port + 3))):
            return port


def is_free(port: int) -> bool:
    try:
        check_port(LOOPBACK, port)
    except InputError:
        return False
    return True


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    """A started hospital, with the fake model; its output is in the file `said`."""
    port = three_free_ports()
    command = [sys.executable, "-m", "zeus_app.commands.main", "hospital", "--port", str(port)]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [*command, "--studies", "2", "--out", str(tmp_path / "out")],
            stdout=said, stderr=said, env=environment(tmp_path),
        )  # fmt: skip
    wait_until(
        lambda: process.poll() is not None or b"Ctrl-C" in (tmp_path / "said").read_bytes(),
        timeout_s=START_TIMEOUT_S,
    )
    yield process, port
    process.kill()
    process.wait()


def test_every_address_answers_until_a_signal_stops_all(hospital: Hospital, tmp_path: Path) -> None:
    process, port = hospital
    said = (tmp_path / "said").read_text()
    assert process.poll() is None, said
    for path in (f"{port}/ohif/", f"{port + 1}/app/explorer.html"):
        assert f"http://{LOOPBACK}:{path.removesuffix('app/explorer.html').rstrip('/')}" in said
        assert requests.get(f"http://{LOOPBACK}:{path}", timeout=60).ok
    studies = requests.get(f"http://{LOOPBACK}:{port}/zeus/studies", timeout=60).json()["studies"]
    assert len(studies) == 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert (tmp_path / "said").read_text().endswith("hospital: stopped\n")
    assert [number for number in range(port, port + 3) if not is_free(number)] == []


def test_a_part_that_ends_by_itself_is_named_and_ends_the_others(
    hospital: Hospital, tmp_path: Path
) -> None:
    process, port = hospital
    requests.post(f"http://{LOOPBACK}:{port + 1}/tools/shutdown", timeout=60)
    assert process.wait(60) == 1
    assert "Orthanc ended by itself. Its log:" in (tmp_path / "said").read_text()
    assert [number for number in range(port, port + 3) if not is_free(number)] == []
