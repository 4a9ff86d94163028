"""Starting and ending a real server on the loopback."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import requests

CHECKOUT = Path(__file__).resolve().parents[2]
FAKES = Path(__file__).parent / "fakes"
START_TIMEOUT_S = 180


@dataclass
class Server:
    url: str
    process: subprocess.Popen[bytes]
    log: Path
    state: Path
    studies: Path

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def command(studies: Path, port: int, conf: dict[str, str]) -> list[str]:
    words = [sys.executable, "-m", "monailabel.main", "start_server", "--app",
             str(CHECKOUT / "apps" / "zeus"), "--studies", str(studies), "--host", "127.0.0.1",
             "--port", str(port)]  # fmt: skip
    for key, value in conf.items():
        words += ["--conf", key, value]
    return words


def environment(*, fake: bool = True) -> dict[str, str]:
    paths = [str(FAKES)] if fake else []
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": os.pathsep.join([*paths, str(CHECKOUT)]),
        "OMP_NUM_THREADS": "1",
    }


def obey_file_modes() -> None:
    """Give up, where tests run as root, the right to write to what is read-only (Linux).

    prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE), see capabilities(7); whoever has it not keeps none.
    """
    ctypes.CDLL(None).prctl(24, 1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(studies: Path, state: Path, conf: dict[str, str], *, fake: bool = True) -> Server:
    port = free_port()
    state.mkdir(parents=True, exist_ok=True)
    log = state / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(studies, port, {**conf, "state": str(state)}),
            stdout=out, stderr=subprocess.STDOUT, env=environment(fake=fake), cwd=state,
            preexec_fn=obey_file_modes,
        )  # fmt: skip
    server = Server(f"http://127.0.0.1:{port}", process, log, state, studies)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{server.url}/info/", timeout=5).ok:
                return server
        except requests.ConnectionError:
            time.sleep(0.3)
    stop(server)
    raise RuntimeError(f"the server did not start:\n{server.log_text()[-4000:]}")


def stop(server: Server) -> None:
    server.process.send_signal(signal.SIGINT)
    try:
        server.process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
