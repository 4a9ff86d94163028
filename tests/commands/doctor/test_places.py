"""State folder, disk and port."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from zeus_app.commands.doctor import places
from zeus_app.commands.doctor.places import cache_gib, default_base, fill_port, fill_state
from zeus_app.commands.doctor.sections import Section


def test_the_default_folder_is_that_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zeus_app.settings.config import default_state_folder

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_state_folder(tmp_path).parent == default_base() == tmp_path / "zeus"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_state_folder(tmp_path).parent == default_base()


def test_caches_are_counted_and_no_state_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for name in ("data-doe_jane-1", "data-b-2"):
        (tmp_path / "zeus" / name / "cache" / "ab").mkdir(parents=True)
        (tmp_path / "zeus" / name / "cache" / "ab" / "x.val").write_bytes(b"1" * 1024)
    section = Section("state and disk")
    fill_state(section, None)
    assert section.facts["state folders"] == "2"
    assert "doe_jane" not in str(section.facts)
    assert cache_gib(places._listed(tmp_path / "zeus")) == 2048 / 2**30
    assert section.problems == []


def test_a_state_folder_that_does_not_exist_yet_is_no_problem(tmp_path: Path) -> None:
    section = Section("state and disk")
    fill_state(section, tmp_path / "doe" / "state")
    assert (section.facts["folder"], section.problems) == ("the one after --state", [])
    assert not (tmp_path / "doe").exists()


def test_a_folder_that_cannot_be_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    section = Section("state and disk")
    fill_state(section, tmp_path)
    assert "--state DIR" in section.problems[0].remedy


def test_a_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2**29))
    section = Section("state and disk")
    fill_state(section, tmp_path)
    assert section.problems[0].what == "0.5 GiB of disk are free for state"
    assert "zeus cache clear" in section.problems[0].remedy


def test_a_free_port_is_free_and_a_taken_one_is_a_problem() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        section = Section("port")
        fill_port(section, port)
        assert section.problems[0].what == f"port {port} is taken, perhaps by a running Zeus"
        assert f"PORT={port + 1}" in section.problems[0].remedy
    section = Section("port")
    fill_port(section, port)
    assert section.facts == {f"{port} on loopback": "free"}
