"""Command line and environment of a Zeus server, in one place."""

import logging
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.settings.file_names import check_utf8
from zeus_app.settings.pacs import is_pacs

logger = logging.getLogger(__name__)
CHECKOUT = Path(__file__).resolve().parents[3]
LOOPBACK = "127.0.0.1"
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""Environment that gives all threads of a process one heap, where the C library is glibc.

Each heap keeps freed memory of its own. See docs/speed.md for what a server keeps.
"""


def warn_of_many_heaps(environment: Mapping[str, str]) -> None:
    """Log how a server needs less memory, if it was started without `server_environment`."""
    if not ONE_HEAP.keys() <= environment.keys():
        logger.warning(
            "this server may keep more than 3 GiB of memory. Start it with `zeus serve`, or set"
            " MALLOC_ARENA_MAX=1 before its command"
        )


def check_studies_folder(folder: Path) -> Path:
    """Return the absolute path of an existing, readable folder.

    Stock MONAI Label would create a missing folder and serve no study.

    Raises:
        InputError: there is no such folder, this user may not read it, or its path is no UTF-8.
    """
    if is_pacs(str(folder).replace(":/", "://")):
        raise InputError(
            f"{folder.parts[0]}//..., which is no folder",
            expected="a folder with MR studies; `zeus serve` alone takes the address of a PACS",
            remedy="start a server of the PACS, for example: zeus serve"
            " http://127.0.0.1:8042/dicom-web --target prostate",
        )
    check_utf8(folder.resolve())
    if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
        return folder.resolve()
    if folder.is_dir():
        problem = f"studies folder {folder} may not be read"
    else:
        problem = f"studies folder {folder} does not exist"
    raise InputError(
        problem,
        expected="a folder with MR studies",
        remedy="check the path, for example: make serve STUDIES=/data/mri TARGET=prostate",
    )


def check_port(host: str, port: int) -> None:
    """Refuse an address that a server cannot listen on, before ten seconds of start-up.

    Raises:
        InputError: another program listens there, or the address is not this machine's.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"cannot listen on {host}:{port}: {error.strerror}",
                expected="a free port of this machine",
                remedy=f"stop the other server, or choose another port: PORT={port + 1}",
            ) from error


def server_command(
    studies: Path | str, conf: Mapping[str, str], *, host: str = LOOPBACK, port: int = 8000
) -> list[str]:
    """The command that serves a folder with the Python that runs now.

    Args:
        studies: an existing folder of studies, or the address of a PACS.
        conf: settings, as ZeusConfig.from_conf reads them.
        host: address to listen on. Stock MONAI Label listens on all addresses.
        port: TCP port.

    Raises:
        InputError: the MONAI Label app is missing, because Zeus is not installed from a checkout.
    """
    app = CHECKOUT / "apps" / "zeus"
    if not (app / "main.py").is_file():
        raise InputError(
            f"no MONAI Label app at {app}",
            expected="Zeus installed in place from a checkout, as `make setup` does",
            remedy="run .venv/bin/zeus of the checkout",
        )
    command = [sys.executable, "-m", "monailabel.main", "start_server"]
    command += ["--app", str(app), "--studies", str(studies), "--host", host, "--port", str(port)]
    for key, value in conf.items():
        command += ["--conf", key, value]
    return command


def server_environment() -> dict[str, str]:
    """The environment of a server and of the training processes that it starts.

    PATH begins with this Python's folder, which holds dcmqi's itkimage2segimage. MONAI Label
    downloads that program when PATH does not lead to it. PYTHONPATH begins with the checkout, so
    that a training process, which has another working directory, imports the same code. All threads
    of a process share one heap, unless the user's environment says otherwise.
    """
    environment = {**ONE_HEAP, **os.environ}
    environment["PATH"] = _prepend(str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    environment["PYTHONPATH"] = _prepend(str(CHECKOUT), os.environ.get("PYTHONPATH", ""))
    return environment


def _prepend(folder: str, path: str) -> str:
    """A search path that begins with the folder and holds it once."""
    others = [other for other in path.split(os.pathsep) if other and other != folder]
    return os.pathsep.join([folder, *others])
