"""What is wrong with a command line is said before the server answers anything."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.server import running
from zeus_app.errors import InputError
from zeus_app.server import workplace
from zeus_app.server.workplace import open_workplace, refuse_missing
from zeus_app.weights import weights_folder


def refusal(
    studies: Path, state: Path, conf: dict[str, str], *, fake: bool = True
) -> tuple[int, str]:
    """Exit code and output of a server that should not start."""
    ended = subprocess.run(
        running.command(studies, running.free_port(), {"state": str(state), **conf}),
        env=running.environment(fake=fake), cwd=state, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr


def test_an_unknown_profile_ends_the_start_with_a_message(studies: Path, tmp_path: Path) -> None:
    code, output = refusal(studies, tmp_path, {"profile": "reference-tiny"})
    assert code != 0
    assert "Zeus cannot start: unknown profile 'reference-tiny'" in output


def test_a_studies_folder_that_does_not_exist_is_refused_and_not_left_behind(
    tmp_path: Path,
) -> None:
    missing = tmp_path / "mistyped"
    code, output = refusal(missing, tmp_path, {})
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
        open_workplace(str(tmp_path), conf)


def test_a_pacs_is_refused_for_now() -> None:
    with pytest.raises(InputError, match="copy the studies into a folder"):
        open_workplace("http://127.0.0.1:8042/dicom-web", {})


def test_what_monai_label_adds_to_the_settings_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    conf = {"server_mode": "true", "state": str(tmp_path / "state")}
    (tmp_path / "studies" / "notes.txt").write_text("x")
    assert open_workplace(str(tmp_path / "studies"), conf).config.target == "phantom"


def test_an_empty_folder_that_was_there_before_the_server_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later:
        def create_time(self) -> float:
            return time.time() + 5

    monkeypatch.setattr(workplace.psutil, "Process", Later)
    refuse_missing(tmp_path)
    assert tmp_path.is_dir()


def test_a_read_only_studies_folder_is_served(studies: Path, tmp_path: Path) -> None:
    before = {path: os.stat(path).st_mtime_ns for path in studies.rglob("*")}
    opened = open_workplace(str(studies), {"state": str(tmp_path / "state")})
    assert "alpha" in opened.datastore.list_images()
    assert {path: os.stat(path).st_mtime_ns for path in studies.rglob("*")} == before


@pytest.mark.slow
def test_a_weight_that_went_bad_ends_the_start_and_is_named(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in weights_folder().iterdir():
        shutil.copytree(folder, tmp_path / "weights" / folder.name, copy_function=os.symlink)
    bad = tmp_path / "weights" / "lite-medsam" / "lite_medsam.pth"
    content = bad.read_bytes()
    bad.unlink()
    bad.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path / "weights"))
    code, output = refusal(studies, tmp_path, {}, fake=False)
    assert code != 0
    assert f"Zeus cannot start: weight file {bad} has SHA-256" in output
    assert "zeus weights get lite-medsam" in output
