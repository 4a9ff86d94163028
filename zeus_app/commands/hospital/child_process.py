"""A server as a child process: started, waited for, and ended."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

from zeus_app.errors import InputError

_STOP_TIMEOUT_S, _POLL_S = 30, 0.05
_LAST_LINES = 3


class ChildProcess:
    """A program that runs until `end` is called.

    It does not receive Ctrl-C from the terminal: its parent decides when it ends.

    Args:
        name: what messages call it.
        command: program and arguments.
        log: file for its output.
        environment: its environment; None for that of this process.

    Attributes:
        name: what messages call it.
        log: file with its output.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, start_new_session=True
            )

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait_for(self, ask: Callable[[], object], *, timeout_s: float) -> None:
        """Return when the program answers; end it if it does not.

        Args:
            ask: sends a request; raises requests.RequestException as long as nobody answers.
            timeout_s: how long to wait.

        Raises:
            InputError: the program ended or did not answer in time. Its last lines are told.
        """
        try:
            self._wait_for(ask, timeout_s)
        except BaseException:
            self.end()
            raise

    def _wait_for(self, ask: Callable[[], object], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not self.has_ended:
            try:
                ask()
                return
            except requests.RequestException:
                time.sleep(_POLL_S)
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise InputError(
            f"{self.name} did not start: {' '.join(lines[-_LAST_LINES:])}",
            expected=f"that {self.name} answers within {timeout_s:g} s",
            remedy=f"read its log {self.log}",
        )

    def end(self) -> None:
        """End it: SIGTERM first, SIGKILL after half a minute."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
