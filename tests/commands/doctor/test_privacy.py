"""Nothing private is left in a text that is pasted in public."""

import socket
import sys
from pathlib import Path

import pytest

from zeus_app.commands.doctor.privacy import CHECKOUT, Scrubber


@pytest.fixture
def scrub(monkeypatch: pytest.MonkeyPatch) -> Scrubber:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/mmuster"))
    monkeypatch.setattr(socket, "gethostname", lambda: "mri-ward3.klinik.example")
    monkeypatch.setattr("getpass.getuser", lambda: "mmuster")
    monkeypatch.setenv("HOSTNAME", "mri-ward3")
    return Scrubber([("<state>", Path("/srv/doe_jane/state"))])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("in /home/mmuster/zeus", "in ~/zeus"),
        ("/home/mmuster2/x", "<path>"),
        (f"{CHECKOUT}/zeus_app/build.py", "<checkout>/zeus_app/build.py"),
        (f"{sys.prefix}/lib/python3.11", "<environment>/lib/python3.11"),
        ("cannot open '/data/Doe Jane/a.nii'", "cannot open '<path>'"),
        ("libcudart.so at /data/doe/lib.so: no such file", "libcudart.so at <path>: no such file"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("rm /srv/doe_jane/state/cache", "rm <state>/cache"),
        ("https://host.example/a/b.pth", "https://host.example/a/b.pth"),
        ("2.5 GB/s, read/write", "2.5 GB/s, read/write"),
        ("host MRI-WARD3 of mmuster", "host <host> of <user>"),
        ("mri-ward3.klinik.example", "<host>"),
    ],
)
def test_private_words_are_replaced_and_others_stay(scrub: Scrubber, text: str, clean: str) -> None:
    assert scrub(text) == clean


def test_a_user_called_zeus_does_not_change_the_name_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "zeus")
    assert Scrubber()("run `zeus weights get`") == "run `zeus weights get`"
