"""A server that cannot start says why before it answers a request."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.server.conftest import lesion_file, make_study
from zeus_app.errors import InputError
from zeus_app.server.context import open_context, refuse_missing
from zeus_app.weights import weights_folder


def start_and_fail(
    studies: Path, state: Path, conf: dict[str, str], *, fake: bool = True, **variables: str
) -> tuple[int, str]:
    """Exit code and output of a server that must not start."""
    ended = subprocess.run(
        running.command(studies, running.free_port(), {"state": str(state), **conf}),
        env={**running.environment(state, fake=fake), **variables}, cwd=state,
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr


def test_an_unknown_profile_ends_the_start_with_a_message(studies: Path, tmp_path: Path) -> None:
    code, output = start_and_fail(studies, tmp_path, {"profile": "reference-tiny"})
    assert code != 0
    assert "Zeus cannot start: unknown profile 'reference-tiny'" in output


def test_a_pacs_that_is_away_ends_the_start_with_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*running.command(tmp_path, running.free_port(), {"state": str(tmp_path)})[:6],
         "--studies", "http://127.0.0.1:9/dicom-web", "--host", "127.0.0.1",
         "--port", str(running.free_port()), "--conf", "state", str(tmp_path)],
        env=running.environment(tmp_path), cwd=tmp_path,
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    output = ended.stdout + ended.stderr
    assert ended.returncode == 3
    assert output.count("Zeus cannot start: the PACS at http://127.0.0.1:9/dicom-web does not") == 1
    assert "Traceback" not in output


def test_an_unknown_plugin_ends_the_start_with_a_message(studies: Path, tmp_path: Path) -> None:
    code, output = start_and_fail(studies, tmp_path, {}, ZEUS_PLUGINS="lab.modles")
    assert code != 0
    assert "Zeus cannot start: ZEUS_PLUGINS names the module 'lab.modles', which cannot" in output


def test_a_studies_folder_that_does_not_exist_is_refused_and_not_left_behind(
    tmp_path: Path,
) -> None:
    missing = tmp_path / "mistyped"
    code, output = start_and_fail(missing, tmp_path, {})
    assert code != 0
    assert f"studies folder {missing} does not exist" in output
    assert not missing.exists()


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"target": "phantoms"}, "unknown target 'phantoms'"),
        ({"fusionn": "late"}, "did you mean 'fusion'"),
        ({"fusion": "soft"}, "fusion='soft'"),
    ],
)
def test_an_unknown_name_is_refused(tmp_path: Path, conf: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_context(str(tmp_path), conf)


def test_a_pacs_that_is_away_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not answer.*check that it runs"):
        open_context("http://127.0.0.1:9/dicom-web", {"state": str(tmp_path)})


def test_settings_of_monai_label_itself_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    conf = {"server_mode": "true", "state": str(tmp_path / "state")}
    (tmp_path / "studies" / "notes.txt").write_text("x")
    assert open_context(str(tmp_path / "studies"), conf).config.target == "phantom"


def test_an_empty_folder_that_is_older_than_the_server_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later:
        def create_time(self) -> float:
            return tmp_path.stat().st_ctime + 5

    monkeypatch.setattr(psutil, "Process", Later)
    refuse_missing(tmp_path)
    assert tmp_path.is_dir()


def test_the_log_names_orphaned_labels_and_their_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_study(tmp_path / "studies", "anna", 1)
    conf = {"state": str(tmp_path / "state")}
    label = lesion_file(tmp_path / "l.nii.gz")
    store = open_context(str(tmp_path / "studies"), conf).datastore
    store.save_label("anna", str(label), "final", {})
    (tmp_path / "studies" / "anna").rename(tmp_path / "studies" / "bob")
    open_context(str(tmp_path / "studies"), conf).log_studies()
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "labels of no study" in warning
    assert str(tmp_path / "state" / "phantom" / "labels" / "final" / "anna") in warning


def test_parents_that_were_created_with_a_missing_folder_are_removed_with_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "kept.txt").write_text("x")
    folder = tmp_path / "not" / "mounted" / "mri"
    folder.mkdir(parents=True)  # as start_server does
    with pytest.raises(InputError, match="does not exist"):
        refuse_missing(folder)
    assert list(tmp_path.iterdir()) == [tmp_path / "kept.txt"]


def test_a_parent_that_is_older_than_the_server_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    os.utime(tmp_path / "mine", (1_000_000_000, 1_000_000_000))  # a day in 2001
    (tmp_path / "mine" / "mri").mkdir()
    with pytest.raises(InputError, match="does not exist"):
        refuse_missing(tmp_path / "mine" / "mri")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    assert list((tmp_path / "mine").iterdir()) == []


def tree(folder: Path) -> dict[Path, tuple[int, str]]:
    """Every path below a folder -> (time of its last change in ns, SHA-256 of its content)."""
    return {
        path: (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in (folder, *sorted(folder.rglob("*")))
    }


@pytest.fixture
def read_only(server: running.Server) -> Iterator[running.Server]:
    """The server, with a read-only studies folder; skips where it could write there as root."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    effective = re.search(r"CapEff:\s*(\w+)", status)
    if os.geteuid() == 0 and (effective is None or int(effective[1], 16) & 0b10):
        pytest.skip("the server runs as root and may write to what is read-only")
    modes = {path: path.stat().st_mode for path in (server.studies, *server.studies.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    yield server
    for path, mode in modes.items():
        path.chmod(mode)


def test_a_read_only_studies_folder_is_served_and_does_not_change(
    read_only: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    studies = read_only.studies
    before = tree(studies)
    client.infer("zeus", "charlie", {})
    client.save_label("charlie", str(lesion_file(tmp_path / "l.nii.gz")))
    assert "final" in client.datastore()["objects"]["charlie"]["labels"]
    requests.get(f"{read_only.url}/zeus/studies?refresh=true", timeout=60).raise_for_status()
    requests.delete(f"{read_only.url}/datastore/label?id=charlie&tag=final", timeout=60)
    assert tree(studies) == before


def test_a_server_of_a_read_only_installation_starts_and_writes_nothing_there(
    studies: Path, tmp_path: Path
) -> None:
    app = tmp_path / "installed" / "zeus"
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(running.APP, app, symlinks=True, ignore=leave_out)
    paths = [app, *(path for path in app.rglob("*") if not path.is_symlink())]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    before = tree(app)
    try:
        server = running.start(studies, tmp_path / "state", {"target": "phantom"}, app=app)
        log = requests.get(f"{server.url}/logs/?text=true", timeout=60).text
        running.stop(server)
        assert tree(app) == before
        assert "target phantom" in log
        assert list((tmp_path / "state" / "logs").glob("server-*.log"))
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)


def test_the_log_that_monai_label_opens_in_the_app_keeps_nothing() -> None:
    assert (running.APP / "logs" / "app.log").resolve() == Path(os.devnull)


@pytest.mark.slow
def test_a_damaged_weight_file_ends_the_start_and_is_named(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in weights_folder().iterdir():
        shutil.copytree(folder, tmp_path / "weights" / folder.name, copy_function=os.symlink)
    bad = tmp_path / "weights" / "lite-medsam" / "lite_medsam.pth"
    content = bad.read_bytes()
    bad.unlink()
    bad.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path / "weights"))
    code, output = start_and_fail(studies, tmp_path, {}, fake=False)
    assert code != 0
    assert f"Zeus cannot start: weight file {bad} has SHA-256" in output
    assert "zeus weights get lite-medsam" in output


def test_a_server_that_other_machines_could_reach_does_not_start(
    studies: Path, tmp_path: Path
) -> None:
    command = running.command(studies, running.free_port(), {"state": str(tmp_path)})
    at = command.index("--host")
    del command[at : at + 2]  # MONAI Label's own default is 0.0.0.0
    ended = subprocess.run(
        command, env=running.environment(tmp_path), cwd=tmp_path, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "listening on 0.0.0.0 without a login" in ended.stdout + ended.stderr


def test_a_server_with_monai_label_s_login_does_not_start(studies: Path, tmp_path: Path) -> None:
    code, output = start_and_fail(studies, tmp_path, {}, MONAI_LABEL_AUTH_ENABLE="true")
    assert code != 0
    assert "refuses every token" in output
