"""The commands of README against a real server: each must work as it is printed."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.server import running
from tests.server.conftest import affine, head, lesion_file, make_study, save, serving
from tests.waiting import wait_until
from zeus_app.targets import load_target

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"
COMMANDS = re.findall(r"^curl .*$", README, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """A server with studies and labels under the names and paths that README uses."""
    folder = tmp_path_factory.mktemp("readme") / "sample_data" / "phantoms"
    make_study(folder / "studies", "phantom_00", 0)
    phantom_sized = head(8, (128, 128, 12))  # README clicks into one
    save(folder / "studies" / "phantom_08" / "phantom_08_t2.nii.gz", phantom_sized, affine())
    lesion_file(folder / "labels" / "phantom_00.nii.gz")
    yield from serving(folder / "studies", folder / "state")


def has_trained(server: running.Server) -> bool:
    status = requests.get(f"{server.url}/train/", timeout=60).json()["status"]
    assert status != "ERROR"
    return bool(status == "DONE")


def test_readme_shows_the_whole_loop() -> None:
    commands = "\n".join(COMMANDS)
    for word in ("/info/", "/infer/zeus", "/datastore/label", "/train/zeus", "/zeus/progress"):
        assert word in commands


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_curl_command_of_readme_is_answered_in_its_order(server: running.Server) -> None:
    folder = server.studies.parents[2]
    for line in COMMANDS:
        words = shlex.split(line.replace(ADDRESS, server.url))
        ended = subprocess.run(
            [*words, "--fail-with-body", "--silent", "--show-error"],
            cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"
        if "/train/" in line:
            wait_until(lambda: has_trained(server), timeout_s=120, poll_s=0.2)
    assert (folder / "mask.nii.gz").stat().st_size > 0


def test_the_target_in_readme_can_be_loaded(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    path = tmp_path / "meningioma.yaml"
    path.write_text(block, encoding="utf-8")
    assert load_target(str(path)).sequence_names == ("T1Gd", "FLAIR")
