"""A server that made requests are sent to, and what each of its answers must keep."""

import gzip
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import nibabel as nib
import numpy as np
import requests

from tests.server import running
from zeus_app.types import LabelArray

STUDIES = ("alpha", "bravo", "charlie")
KEPT = "kept"
"""A study whose label no request names. It stays as it was acknowledged."""
TIMEOUT_S = 120  # of one request; decides nothing else
REFUSALS = range(400, 500)


@dataclass
class Target:
    """The server, and the folder around everything that it may write.

    Attributes:
        server: the running server.
        outer: folder of the studies, the state, the temporary files and nothing else.
        kept: voxels of the label of KEPT.
        untouched: files of `outer` that no request may change, with their content.
        statuses: status -> number of answers.
    """

    server: running.Server
    outer: Path
    kept: LabelArray
    untouched: dict[Path, bytes] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)

    def acknowledge(self, label: bytes) -> None:
        """Submit a label of every study."""
        for study in (KEPT, *STUDIES):
            self.submit(study, label).raise_for_status()

    def submit(self, study: str, label: bytes) -> requests.Response:
        """Submit a final label in a .nii.gz file."""
        return requests.put(
            f"{self.server.url}/datastore/label", params={"image": study},
            files={"label": ("label.nii.gz", label)}, timeout=TIMEOUT_S,
        )  # fmt: skip

    def send(
        self, method: str, path: str, *, query: Mapping[str, str | bytes] | None = None,
        **arguments: Any,
    ) -> requests.Response:  # fmt: skip
        """Send a request, check its answer, and ask the server whether it is well."""
        request = requests.Request(method, self.server.url, **arguments).prepare()
        # `requests` would shorten a path with "..".
        request.url = self.server.url + path + (f"?{urlencode(query)}" if query else "")
        return self.send_prepared(request)

    def send_prepared(self, request: requests.PreparedRequest) -> requests.Response:
        """Do the same with a request that is ready to be sent."""
        answer = self._exchange(request)
        self.statuses[answer.status_code] += 1
        faults = [*faults_of(answer, self._private_paths), *self._faults_afterwards()]
        assert not faults, f"{'; '.join(faults)}\nThe request: {as_curl(request)}"
        return answer

    def _exchange(self, request: requests.PreparedRequest) -> requests.Response:
        with requests.Session() as session:
            try:
                return session.send(request, timeout=TIMEOUT_S, allow_redirects=False)
            except requests.RequestException as error:
                ended = running.has_ended(self.server)
                lines = "\n".join(line[:200] for line in self.server.log_text().splitlines()[-5:])
                raise AssertionError(
                    f"no answer ({error}); the server {'has ended' if ended else 'runs'}\n{lines}"
                    f"\nThe request: {as_curl(request)}"
                ) from error

    @property
    def _private_paths(self) -> tuple[str, ...]:
        return str(self.outer), str(running.CHECKOUT), sys.prefix

    def _faults_afterwards(self) -> Iterator[str]:
        for path in ("/info/", "/datastore/?output=all"):
            answer = requests.get(self.server.url + path, timeout=TIMEOUT_S)
            if not (answer.ok and isinstance(answer.json(), dict)):
                yield f"afterwards {path} answers {answer.status_code}: {answer.text[:500]}"
        yield from self._faults_of_kept_label()

    def _faults_of_kept_label(self) -> Iterator[str]:
        query = {"label": KEPT, "tag": "final"}
        answer = requests.get(f"{self.server.url}/datastore/label", params=query, timeout=TIMEOUT_S)
        if not answer.ok:
            yield f"afterwards the acknowledged label is gone: {answer.status_code} {answer.text}"
        elif not np.array_equal(voxels_of(answer.content), self.kept):
            yield "afterwards the acknowledged label has other voxels"

    def peak_memory_mib(self) -> float:
        """The most memory that the server ever held (Linux)."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        words = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()
        return int(words[1]) / 1024

    def files_elsewhere(self) -> dict[Path, bytes]:
        """Files of `outer` that lie outside the state and temporary folders."""
        own = (self.server.state, self.outer / "tmp")
        return {
            path: path.read_bytes()
            for path in self.outer.rglob("*")
            if path.is_file() and not any(path.is_relative_to(folder) for folder in own)
        }


def faults_of(answer: requests.Response, private_paths: Sequence[str]) -> Iterator[str]:
    """What an answer must not be or tell.

    Args:
        answer: to any request.
        private_paths: folders of the server's machine.
    """
    status = answer.status_code
    is_busy = status == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" in answer.headers
    if status >= 500 and not is_busy and status != HTTPStatus.INSUFFICIENT_STORAGE:
        yield f"status {status}: {answer.text[:500]}"
    if status in REFUSALS and answer.request.method != "HEAD" and not reason_of(answer):
        yield f"status {status} without a reason in JSON: {answer.text[:500]!r}"
    if "Traceback (most recent call last)" in answer.text:
        yield f"status {status} with a traceback: {answer.text[:2000]}"
    if status >= 400:
        named = [path for path in private_paths if path in answer.text]
        yield from (f"status {status} with the path {path}: {answer.text[:500]}" for path in named)


def reason_of(answer: requests.Response) -> object:
    """The reason of a refusal; None if the answer has none."""
    try:
        content = answer.json()
    except ValueError:
        return None
    return content.get("detail") if isinstance(content, dict) else None


def voxels_of(content: bytes) -> LabelArray:
    """Voxels of a .nii.gz file."""
    image = nib.Nifti1Image.from_bytes(_unpacked(content))
    voxels: LabelArray = np.asarray(image.dataobj).astype(np.uint8)
    return voxels


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def as_curl(request: requests.PreparedRequest) -> str:
    """The command that sends a request again. Its body goes to a file."""
    words = ["curl", "-i", "-X", str(request.method), "--path-as-is"]
    for name in ("Content-Type",):
        if value := request.headers.get(name):
            words += ["-H", f"{name}: {_text(value)}"]
    body = request.body
    if body:
        content = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
        assert isinstance(content, bytes)
        words += ["--data-binary", f"@{_saved(content)}"]
    return shlex.join([*words, str(request.url)])


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _saved(content: bytes) -> Path:
    folder = Path(tempfile.gettempdir()) / "zeus-fuzz"
    folder.mkdir(exist_ok=True)
    path = folder / sha256(content).hexdigest()[:12]
    path.write_bytes(content)
    return path
