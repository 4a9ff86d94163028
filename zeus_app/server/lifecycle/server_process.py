"""A real server as a child process, driven over HTTP by MONAI Label's own client.

The demo and the runs on real MRI use Zeus as its users do; this is their hand on it.
"""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from zeus_app.labels.files import read_label
from zeus_app.progress import Report, silent
from zeus_app.server.lifecycle import server_command as launch
from zeus_app.types import Volume

START_S = 300
END_S = 30
POLL_S = 1.0
UNDER_WAY = ("PENDING", "SUBMITTED", "RUNNING")


class ServerError(Exception):
    """The server did not start, ended, or answered what it must not."""


FAILURES = (ServerError, MONAILabelClientException, requests.RequestException)
"""What driving a server may raise when the server, and not the driver, is at fault."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What an inference brought: the mask on the study's own grid, and the params beside it."""

    mask: Volume
    params: Mapping[str, Any]
    seconds: float


class ServerProcess:
    """Starts a server on the loopback when entered, and ends it when left.

    Args:
        studies: folder of studies.
        conf: settings, as `--conf` carries them; "state" must be among them.
        log: where the server's output goes.
    """

    def __init__(self, studies: Path, conf: Mapping[str, str], *, log: Path) -> None:
        self._studies, self._conf, self._log = studies, conf, log
        self.model = conf.get("model", "zeus")
        self.url = f"http://{launch.LOOPBACK}:{_free_port()}"

    def __enter__(self) -> Self:
        began = time.monotonic()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        port = int(self.url.rsplit(":", 1)[1])
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                launch.server_command(self._studies, self._conf, port=port),
                env=launch.server_environment(),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._scratch = tempfile.TemporaryDirectory(prefix="zeus-client-")
        self.client = MONAILabelClient(self.url, tmpdir=self._scratch.name)
        try:
            self._await_start()
        except BaseException:
            self._end()
            raise
        self.start_seconds = time.monotonic() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ended_early = self._process.poll()
        self._end()
        if ended_early is not None and error is None:
            raise ServerError(f"the server ended with code {ended_early}: {self.last_lines()}")

    def get(self, path: str, **params: str) -> Any:
        """JSON of one of Zeus's own routes."""
        return self._json(requests.get(f"{self.url}{path}", params=params, timeout=60))

    def post(self, path: str) -> Any:
        """POST to one of Zeus's own routes."""
        return self._json(requests.post(f"{self.url}{path}", timeout=60))

    def infer(self, study: str) -> Answer:
        """Segment a study as a client does."""
        began = time.monotonic()
        path, params = self.client.infer(model=self.model, image_id=study, params={})
        return Answer(read_label(Path(path)), params, time.monotonic() - began)

    def own_mask(self, study: str, sequence: str) -> Volume:
        """The mask that one sequence's branch gave in the newest answer, on the same grid."""
        response = requests.get(
            f"{self.url}/zeus/originals/{study}/mask", params={"sequence": sequence}, timeout=60
        )
        response.raise_for_status()
        path = Path(self._scratch.name) / "own.nii.gz"
        path.write_bytes(response.content)
        return read_label(path)

    def train(self, params: Mapping[str, object], *, report: Report = silent) -> dict[str, Any]:
        """Train, wait for the end, and return the checkpoint that is served then.

        Raises:
            ServerError: the training ended without a new version; the log's end says why.
        """
        before = self.get("/zeus/checkpoints")["served"]
        self.client.train_start(self.model, dict(params))
        while self.client.train_status()["status"] in UNDER_WAY:
            at = self.get("/zeus/progress")["training"]
            if "stage" in at:
                report(str(at["stage"]), int(at["done"]), int(at["total"]))
            time.sleep(POLL_S)
        after = self.get("/zeus/checkpoints")
        if after["served"] == before:
            raise ServerError(f"the training brought no checkpoint: {self.last_lines()}")
        return dict(after["checkpoints"][-1])

    def last_lines(self, count: int = 15) -> str:
        """The end of the server's log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"(log {self._log})", *lines[-count:]])

    def _json(self, response: requests.Response) -> Any:
        if not response.ok:
            raise ServerError(f"{response.url} answered {response.status_code}: {response.text}")
        return response.json()

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if requests.get(f"{self.url}/info/", timeout=10).ok:
                    return
            except requests.RequestException:
                time.sleep(POLL_S)
        raise ServerError(f"the server did not start: {self.last_lines()}")

    def _end(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._scratch.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((launch.LOOPBACK, 0))
        return int(probe.getsockname()[1])
