"""How a Zeus server is started: the one place that knows its command line."""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from zeus_app.errors import InputError

CHECKOUT = Path(__file__).resolve().parents[3]
LOOPBACK = "127.0.0.1"


def check_studies_folder(folder: Path) -> Path:
    """Return the folder, absolute. Stock MONAI Label would make a missing one and serve nothing.

    Raises:
        InputError: there is no such folder, or it may not be read.
    """
    if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
        return folder.resolve()
    if folder.is_dir():
        came = f"studies folder {folder} may not be read"
    else:
        came = f"studies folder {folder} does not exist"
    raise InputError(
        came,
        expected="a folder with MR studies",
        remedy="check the path: make serve STUDIES=<dir> TARGET=<name>",
    )


def check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before the server takes ten seconds to fail.

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
                expected="a free port",
                remedy=f"stop the other server, or choose another: PORT={port + 1}",
            ) from error


def server_command(
    studies: Path, conf: Mapping[str, str], *, host: str = LOOPBACK, port: int = 8000
) -> list[str]:
    """The command that serves a folder, for this very Python.

    Args:
        studies: the folder of studies; it must exist.
        conf: settings, as ZeusConfig.from_conf reads them.
        host: address to listen on. Stock MONAI Label listens on every one.
        port: TCP port.

    Raises:
        InputError: this installation is no checkout and so has no app.
    """
    app = CHECKOUT / "apps" / "zeus"
    if not (app / "main.py").is_file():
        raise InputError(
            f"no MONAI Label app at {app}",
            expected="zeus installed in place from a checkout, as `make setup` does",
            remedy="run it from the checkout's .venv",
        )
    command = [sys.executable, "-m", "monailabel.main", "start_server"]
    command += ["--app", str(app), "--studies", str(studies), "--host", host, "--port", str(port)]
    for key, value in conf.items():
        command += ["--conf", key, value]
    return command


def server_environment() -> dict[str, str]:
    """The environment of a server and of the training processes that it starts.

    PATH begins with this Python's folder, where dcmqi's itkimage2segimage lies: when MONAI Label
    does not find it, it tries to download one. PYTHONPATH begins with the checkout, so that a
    training process, which runs elsewhere, imports the same code.
    """
    environment = dict(os.environ)
    environment["PATH"] = _first(str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    environment["PYTHONPATH"] = _first(str(CHECKOUT), os.environ.get("PYTHONPATH", ""))
    return environment


def _first(entry: str, path: str) -> str:
    others = [other for other in path.split(os.pathsep) if other and other != entry]
    return os.pathsep.join([entry, *others])
