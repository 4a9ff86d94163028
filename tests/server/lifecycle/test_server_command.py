"""The command line and the environment that a server is started with."""

import os
import socket
import sys
from pathlib import Path

import pytest

from zeus_app.errors import InputError
from zeus_app.server.lifecycle import server_command


def test_a_missing_studies_folder_is_refused_and_not_created(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(InputError, match="does not exist"):
        server_command.check_studies_folder(missing)
    assert not missing.exists()


def test_a_file_is_no_studies_folder(tmp_path: Path) -> None:
    file = tmp_path / "t2.nii.gz"
    file.write_text("")
    with pytest.raises(InputError, match="Expected: a folder with MR studies"):
        server_command.check_studies_folder(file)


def test_a_studies_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mri").mkdir()
    assert server_command.check_studies_folder(Path("mri")) == (tmp_path / "mri").resolve()


def test_a_port_in_use_is_refused_and_the_next_one_is_suggested() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"PORT={port + 1}"):
            server_command.check_port("127.0.0.1", port)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "apps" / "zeus").mkdir(parents=True)
    (tmp_path / "apps" / "zeus" / "main.py").write_text("")
    monkeypatch.setattr(server_command, "CHECKOUT", tmp_path)
    return tmp_path


def test_the_server_runs_in_this_python(checkout: Path) -> None:
    command = server_command.server_command(Path("/mri"), {})
    assert command[:4] == [sys.executable, "-m", "monailabel.main", "start_server"]


def test_by_default_the_server_listens_on_the_loopback_address(checkout: Path) -> None:
    command = server_command.server_command(Path("/mri"), {})
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_each_setting_becomes_a_conf_option(checkout: Path) -> None:
    command = server_command.server_command(Path("/mri"), {"target": "prostate", "union": "mean"})
    assert command[-6:] == ["--conf", "target", "prostate", "--conf", "union", "mean"]


def test_an_installation_without_the_app_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_command, "CHECKOUT", tmp_path)
    with pytest.raises(InputError, match="no MONAI Label app"):
        server_command.server_command(Path("/mri"), {})


def test_dcmqi_is_found_without_activating_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    first, *rest = server_command.server_environment()["PATH"].split(os.pathsep)
    assert first == str(Path(sys.executable).parent)
    assert rest == ["/usr/bin"]


def test_training_processes_import_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert server_command.server_environment()["PYTHONPATH"] == str(server_command.CHECKOUT)


def test_all_threads_of_a_server_share_one_heap_unless_its_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert server_command.server_environment()["MALLOC_ARENA_MAX"] == "1"
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert server_command.server_environment()["MALLOC_ARENA_MAX"] == "4"


def test_a_studies_folder_whose_path_is_no_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"M\xfcller")).mkdir()
    with pytest.raises(InputError, match=r"M\\xfcller, a name that is no UTF-8"):
        server_command.check_studies_folder(tmp_path / os.fsdecode(b"M\xfcller"))


def test_a_server_that_was_started_without_one_heap_says_how_to_set_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server_command.warn_of_many_heaps({"MALLOC_ARENA_MAX": "1"})
    assert not caplog.records
    server_command.warn_of_many_heaps({})
    (record,) = caplog.records
    assert "MALLOC_ARENA_MAX=1" in record.getMessage()
