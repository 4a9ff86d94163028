"""README's own commands, against a server: what a new user copies must work as it stands."""

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
    """Studies and labels under the names that README uses, in the place where it expects them."""
    folder = tmp_path_factory.mktemp("readme") / "sample_data" / "phantoms"
    make_study(folder / "studies", "phantom_00", 0)
    as_large_as_phantoms = head(8, (128, 128, 12))  # README clicks into one
    save(folder / "studies" / "phantom_08" / "phantom_08_t2.nii.gz", as_large_as_phantoms, affine())
    lesion_file(folder / "labels" / "phantom_00.nii.gz")
    yield from serving(folder / "studies", folder / "state")


def has_trained(server: running.Server) -> bool:
    status = requests.get(f"{server.url}/train/", timeout=60).json()["status"]
    assert status != "ERROR"
    return bool(status == "DONE")


def test_readme_shows_the_whole_loop() -> None:
    shown = "\n".join(COMMANDS)
    for word in ("/info/", "/infer/zeus", "/datastore/label", "/train/zeus", "/zeus/progress"):
        assert word in shown


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_curl_command_of_readme_is_answered_in_its_order(server: running.Server) -> None:
    here = server.studies.parents[2]
    for line in COMMANDS:
        words = shlex.split(line.replace(ADDRESS, server.url))
        done = subprocess.run(
            [*words, "--fail-with-body", "--silent", "--show-error"],
            cwd=here, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if "/train/" in line:
            wait_until(lambda: has_trained(server), timeout_s=120, poll_s=0.2)
    assert (here / "mask.nii.gz").stat().st_size > 0


def test_readme_s_own_target_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    path = tmp_path / "meningioma.yaml"
    path.write_text(block, encoding="utf-8")
    assert load_target(str(path)).sequence_names == ("T1Gd", "FLAIR")
