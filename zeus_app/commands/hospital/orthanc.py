"""Orthanc, a small PACS, as a child process. Its programs are packages of Debian."""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from zeus_app.commands.hospital.child_process import ChildProcess
from zeus_app.errors import InputError
from zeus_app.server.lifecycle.server_command import LOOPBACK, check_port

PACKAGES = ("orthanc", "orthanc-dicomweb")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_PROGRAM_FOLDERS = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
"""Debian's program lies in /usr/sbin, which is not in every user's PATH."""
_START_TIMEOUT_S = _REQUEST_TIMEOUT_S = 60


@dataclass(frozen=True)
class Login:
    """A user of Orthanc, for HTTP basic authentication."""

    user: str
    password: str


def orthanc_program() -> str:
    """The path of Orthanc's program.

    Raises:
        InputError: a package of Debian is missing. The message names what installs it.
    """
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path=_PROGRAM_FOLDERS)
    if program and PLUGIN.exists():
        return program
    missing = PACKAGES[0] if not program else PACKAGES[1]
    raise InputError(
        f"the Debian package {missing} is not installed",
        expected="Orthanc with its DICOMweb plugin",
        remedy=f"run as root: apt-get install {' '.join(PACKAGES)}",
    )


def orthanc_settings(folder: Path, port: int, login: Login | None) -> dict[str, Any]:
    """Settings of an Orthanc that answers this machine alone, and opens no DICOM port.

    Args:
        folder: where Orthanc stores its instances and index.
        port: TCP port of its REST API, its DICOMweb and its web page.
        login: the one user; None lets everybody in.
    """
    return {
        "Name": "Zeus hospital",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": login is not None,
        "RegisteredUsers": {login.user: login.password} if login else {},
        "DicomServerEnabled": False,
        "OverwriteInstances": True,
        "StableAge": 1,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }


class Orthanc:
    """Context manager: starts an Orthanc and ends it.

    Args:
        folder: for its settings, log and storage. It may be empty or from an earlier run.
        port: a free TCP port.
        login: the one user; None lets everybody in.

    Attributes:
        url: address of the REST API and of the web page.
        dicomweb_url: address of QIDO-RS, WADO-RS and STOW-RS.
        login: the one user, or None.
        log: the file that holds its output.
    """

    def __init__(self, folder: Path, *, port: int, login: Login | None = None) -> None:
        self._folder, self._port, self.login = folder, port, login
        self.url = f"http://{LOOPBACK}:{port}"
        self.dicomweb_url = f"{self.url}/dicom-web"
        self.log = folder / "orthanc.log"

    def __enter__(self) -> Self:
        program = orthanc_program()
        check_port(LOOPBACK, self._port)
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "orthanc.json"
        settings.touch(mode=0o600)  # it may hold a password
        settings.write_text(json.dumps(orthanc_settings(self._folder, self._port, self.login)))
        self._process = ChildProcess("Orthanc", [program, str(settings)], log=self.log)
        self._process.wait_for(lambda: self.get("/system"), timeout_s=_START_TIMEOUT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.end()

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.has_ended

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """JSON that a path of the REST API or of DICOMweb (/dicom-web/...) answers."""
        answer = self.request("GET", path, params=dict(params or {}))
        return answer.json() if answer.content else []

    def upload(self, files: Iterable[Path]) -> None:
        """Store DICOM files."""
        for file in files:
            self.request("POST", "/instances", data=file.read_bytes())

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request; an answer that is no success raises requests.HTTPError."""
        auth = (self.login.user, self.login.password) if self.login else None
        answer = requests.request(
            method, f"{self.url}{path}", auth=auth, timeout=_REQUEST_TIMEOUT_S, **options
        )
        answer.raise_for_status()
        return answer
