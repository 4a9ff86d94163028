"""What a row says about code and machine."""

import platform
import re

import torch

from zeus_app.bench.provenance import code_version, machine, versions


def test_the_commit_is_short_and_marks_changes() -> None:
    assert re.fullmatch(r"([0-9a-f]{7,}\+?)?", code_version())


def test_versions_are_those_that_run() -> None:
    assert torch.__version__.startswith(versions()["torch"])
    assert versions()["python"] == platform.python_version()


def test_the_machine_is_told_without_its_name() -> None:
    told = machine()
    assert told["threads"] == torch.get_num_threads()
    assert platform.node() not in map(str, told.values())
