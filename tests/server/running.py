"""Starting and ending a real server on the loopback."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
APP = CHECKOUT / "apps" / "zeus"
FAKE_MODEL = "tests.server.fakes.fake_model"
START_TIMEOUT_S = 180


@dataclass
class Server:
    url: str
    process: subprocess.Popen[bytes]
    log: Path
    state: Path
    studies: Path  # of a PACS, it does not exist

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def released(self) -> Path:
        """While this file exists, the fake model holds nothing."""
        return control_folder(self.state) / "released"

    @property
    def preparation_held(self) -> Path:
        """While this file exists, the fake model encodes nothing in the background."""
        return control_folder(self.state) / "preparation-held"


def control_folder(state: Path) -> Path:
    """Where tests tell the fake model of a server what to do."""
    return state / "fake-control"


def command(studies: Path | str, port: int, conf: dict[str, str], *, app: Path = APP) -> list[str]:
    words = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app),
             "--studies", str(studies), "--host", "127.0.0.1", "--port", str(port)]  # fmt: skip
    for key, value in conf.items():
        words += ["--conf", key, value]
    return words


def environment(state: Path, *, fake: bool = True) -> dict[str, str]:
    fakes = {"ZEUS_PLUGINS": FAKE_MODEL, "FAKE_CONTROL": str(control_folder(state))}
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "OMP_NUM_THREADS": "1",
        **(fakes if fake else {}),
    }


def obey_file_modes() -> None:
    """Root gives up the right to write to read-only files (Linux).

    prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE), see capabilities(7). Without effect for other users.
    """
    ctypes.CDLL(None).prctl(24, 1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    studies: Path | str, state: Path, conf: dict[str, str], *, fake: bool = True, app: Path = APP
) -> Server:
    """Start a server.

    Args:
        studies: the studies folder, or the address of a PACS.
        state: the state folder.
        conf: settings, without the state folder.
        fake: whether the fake model answers.
        app: the folder of the MONAI Label app.
    """
    port = free_port()
    control_folder(state).mkdir(parents=True, exist_ok=True)
    log = state / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(studies, port, {**conf, "state": str(state)}, app=app),
            stdout=out, stderr=subprocess.STDOUT, env=environment(state, fake=fake), cwd=state,
            preexec_fn=obey_file_modes,
        )  # fmt: skip
    server = Server(f"http://127.0.0.1:{port}", process, log, state, Path(studies))
    try:
        wait_until(lambda: answers(server) or has_ended(server), timeout_s=START_TIMEOUT_S)
        assert not has_ended(server)
    except AssertionError as error:
        stop(server)
        raise RuntimeError(f"the server did not start:\n{server.log_text()[-4000:]}") from error
    return server


def answers(server: Server) -> bool:
    try:
        return bool(requests.get(f"{server.url}/info/", timeout=5).ok)
    except requests.RequestException:
        return False


def has_ended(server: Server) -> bool:
    return server.process.poll() is not None


def stop(server: Server) -> None:
    server.process.send_signal(signal.SIGINT)
    try:
        server.process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
