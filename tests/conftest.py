"""What every test shares: no network, and markers that skip aloud."""

import os
import shutil
import socket
from collections.abc import Iterator
from typing import Any

import pytest

# Set before any test imports a library that reads them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")
# Under make, `zeus serve` names commands of make. A test sets this itself where it means make.
os.environ.pop("MAKELEVEL", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say why."""
    for item in items:
        if item.get_closest_marker("real") and not os.environ.get("ZEUS_REAL_DATA"):
            item.add_marker(pytest.mark.skip(reason="ZEUS_REAL_DATA names no folder of real MRI"))
        if item.get_closest_marker("gpu") and not _has_cuda():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if item.get_closest_marker("browser") and not _has_chromium():
            item.add_marker(pytest.mark.skip(reason="no Chromium: install chromium-driver"))
        if item.get_closest_marker("orthanc") and (missing := _missing_orthanc()):
            item.add_marker(pytest.mark.skip(reason=missing))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_chromium() -> bool:
    return all(map(shutil.which, ("chromium", "chromedriver")))


def _missing_orthanc() -> str:
    """Why no Orthanc can start here; empty if one can."""
    from zeus_app.commands.hospital.orthanc import orthanc_program
    from zeus_app.errors import InputError

    try:
        orthanc_program()
    except InputError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Refuse connections that leave this machine."""
    connect = socket.socket.connect

    def connect_on_this_machine(self: socket.socket, address: Any) -> None:
        away = self.family in (socket.AF_INET, socket.AF_INET6)
        if away and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise OSError(f"a test tried to reach {address}: tests run offline")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_on_this_machine)
        yield
