"""One server for all made requests. All that it writes lies in one folder."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.target import KEPT, STUDIES, Target
from tests.server import running
from tests.server.conftest import LESION, SHAPE, lesion_file, make_study

STATUSES = pytest.StashKey[Counter[int]]()
CONF = {"target": "phantom", "learn": "off"}


@pytest.fixture(scope="session")
def target(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Target]:
    outer = tmp_path_factory.mktemp("fuzz")
    inner = outer / "a" / "b" / "c"  # so that ../../ stays below `outer`
    for seed, name in enumerate((*STUDIES, KEPT)):
        make_study(inner / "studies", name, seed)
    server = start(outer, inner)
    kept = np.zeros(SHAPE, np.uint8)
    kept[LESION] = 1
    target = Target(server, outer, kept)
    pytestconfig.stash[STATUSES] = target.statuses
    target.acknowledge(lesion_file(outer / "tmp" / "label.nii.gz").read_bytes())
    target.untouched = target.files_elsewhere()
    yield target
    ended = running.has_ended(server)
    running.stop(server)
    assert not ended, server.log_text()[-4000:]


def start(outer: Path, inner: Path) -> running.Server:
    """A server whose home and temporary folders are its own."""
    for name in ("tmp", "home"):
        (outer / name).mkdir()
    state = inner / "state"
    control = running.control_folder(state)
    control.mkdir(parents=True)
    (control / "released").touch()  # the fake model holds nothing
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(outer / "tmp"))
        patch.setenv("HOME", str(outer / "home"))
        patch.setenv("ZEUS_PLUGINS", "tests.fuzz.quick_tasks")
        patch.setenv("FAKE_CONTROL", str(control))
        return running.start(inner / "studies", state, CONF, fake=False)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell how many requests were sent, and what became of them."""
    statuses = config.stash.get(STATUSES, Counter())
    if statuses:
        counts = ", ".join(
            f"{count} of status {status}" for status, count in sorted(statuses.items())
        )
        terminalreporter.write_line(f"fuzz: {statuses.total()} answers: {counts}")
