"""A real server as a child process, driven over HTTP with MONAI Label's own client.

The demo, the runs on real MRI and the benchmarks use it, so that they measure what users get.
"""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from zeus_app.labels.files import read_label
from zeus_app.progress import Report, silent
from zeus_app.server.lifecycle.server_command import LOOPBACK, server_command, server_environment
from zeus_app.types import Volume

START_TIMEOUT_S = 300
SHUTDOWN_TIMEOUT_S = 30
REQUEST_TIMEOUT_S = 60
POLL_INTERVAL_S = 1.0
ACTIVE_STATUSES = ("PENDING", "SUBMITTED", "RUNNING")  # of a MONAI Label training


class ServerError(Exception):
    """The server did not start, ended early, or gave a wrong answer."""


FAILURES = (ServerError, MONAILabelClientException, requests.RequestException)
"""Errors that are the server's fault and not the caller's."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Result of an inference.

    Attributes:
        mask: label map on the study's own grid.
        params: the JSON that comes with the mask.
        seconds: wall-clock time of the request.
    """

    mask: Volume
    params: Mapping[str, Any]
    seconds: float


class ServerProcess:
    """Context manager: starts a server on the loopback address and ends it.

    Args:
        studies: folder of studies.
        conf: settings, as `--conf` carries them; "state" must be among them.
        log: file that the server's output is appended to.

    Attributes:
        model: name of the served model.
        url: address of the server.
        client: MONAI Label's client of this server.
        start_seconds: how long the start took.
    """

    def __init__(self, studies: Path, conf: Mapping[str, str], *, log: Path) -> None:
        self._studies, self._conf, self._log = studies, conf, log
        self.model = conf.get("model", "zeus")
        self.url = f"http://{LOOPBACK}:{free_port()}"

    def __enter__(self) -> Self:
        started = time.monotonic()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        port = int(self.url.rsplit(":", 1)[1])
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                server_command(self._studies, self._conf, port=port),
                env=server_environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._scratch = tempfile.TemporaryDirectory(prefix="zeus-client-")
        self.client = MONAILabelClient(self.url, tmpdir=self._scratch.name)
        try:
            self._wait_for_start()
        except BaseException:
            self._end()
            raise
        self.start_seconds = time.monotonic() - started
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        early_exit_code = self._process.poll()
        self._end()
        if early_exit_code is not None and error is None:
            raise ServerError(f"the server ended with code {early_exit_code}: {self.last_lines()}")

    def get(self, path: str, **params: str) -> Any:
        """JSON of a GET request to one of Zeus's own routes."""
        url = f"{self.url}{path}"
        return self._json(requests.get(url, params=params, timeout=REQUEST_TIMEOUT_S))

    def post(self, path: str) -> Any:
        """JSON of a POST request to one of Zeus's own routes."""
        return self._json(requests.post(f"{self.url}{path}", timeout=REQUEST_TIMEOUT_S))

    def infer(self, study: str) -> Answer:
        """Segment a study as a client does."""
        started = time.monotonic()
        path, params = self.client.infer(model=self.model, image_id=study, params={})
        return Answer(read_label(Path(path)), params, time.monotonic() - started)

    def click(self, study: str, voxel: Sequence[int], *, label: str) -> Answer:
        """Click once on a voxel of a study, as a user does in 3D Slicer or OHIF, in 2-D.

        Args:
            study: id of the study.
            voxel: (i, j, k) in the study's reference image, as stored.
            label: name of the label.
        """
        started = time.monotonic()
        params = {"foreground": [list(map(int, voxel))], "background": [], "label": label}
        path, answered = self.client.infer(model="clicks", image_id=study, params=params)
        return Answer(read_label(Path(path)), answered, time.monotonic() - started)

    def sequence_mask(self, study: str, sequence: str) -> Volume:
        """The label map of one sequence's branch in the newest prediction, on the study's grid."""
        response = requests.get(
            f"{self.url}/zeus/originals/{study}/mask",
            params={"sequence": sequence},
            timeout=REQUEST_TIMEOUT_S,
        )
        response.raise_for_status()
        path = Path(self._scratch.name) / "sequence.nii.gz"
        path.write_bytes(response.content)
        return read_label(path)

    def train(self, params: Mapping[str, object], *, report: Report = silent) -> dict[str, Any]:
        """Train, wait for the end, and return the description of the new checkpoint.

        Raises:
            ServerError: the training ended without a new checkpoint; with the log's last lines.
        """
        served_before = self.get("/zeus/checkpoints")["served"]
        self.client.train_start(self.model, dict(params))
        while self.client.train_status()["status"] in ACTIVE_STATUSES:
            progress = self.get("/zeus/progress")["training"]
            if "stage" in progress:
                report(str(progress["stage"]), int(progress["done"]), int(progress["total"]))
            time.sleep(POLL_INTERVAL_S)
        checkpoints = self.get("/zeus/checkpoints")
        if checkpoints["served"] == served_before:
            raise ServerError(f"the training saved no checkpoint: {self.last_lines()}")
        return dict(checkpoints["checkpoints"][-1])

    def last_lines(self, count: int = 15) -> str:
        """The last lines of the server's log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"(log {self._log})", *lines[-count:]])

    def _json(self, response: requests.Response) -> Any:
        if not response.ok:
            raise ServerError(f"{response.url} answered {response.status_code}: {response.text}")
        return response.json()

    def _wait_for_start(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if requests.get(f"{self.url}/info/", timeout=10).ok:
                    return
            except requests.RequestException:
                time.sleep(POLL_INTERVAL_S)
        raise ServerError(f"the server did not start: {self.last_lines()}")

    def _end(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(SHUTDOWN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._scratch.cleanup()


def free_port() -> int:
    """A TCP port that no program listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
