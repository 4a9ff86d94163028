"""The path of a click stays short (docs/architecture.md)."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from scripts.count_click_path import holds_prompt
from zeus_app.prompts.types import StudyPrompt

ROOT = Path(__file__).resolve().parents[1]
MAX_CARRIERS = 26


@pytest.mark.slow
def test_few_functions_carry_the_prompt_of_a_click() -> None:
    finished = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "count_click_path.py")],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ZEUS_PLUGINS": "tests.server.fakes.box_clicks",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    count = re.search(r"carry the prompt: (\d+), in", finished.stdout)
    assert count, finished.stdout
    assert 0 < int(count[1]) <= MAX_CARRIERS, finished.stdout


@pytest.mark.parametrize(
    "value",
    [
        '{"foreground": [[1, 2, 3]]}',
        {"foreground": [[1, 2, 3]]},
        StudyPrompt(((1, 2, 3),)),
        [{"lesion": StudyPrompt()}],
        partial(print, StudyPrompt()),
        StudyPrompt().on,
    ],
)
def test_a_prompt_is_found_in_items_fields_and_callables(value: object) -> None:
    assert holds_prompt(value)


@pytest.mark.parametrize("value", [None, "lesion", [[1, 2, 3]], {"lesion": [[1, 2, 3]]}, print])
def test_bare_points_and_names_are_no_prompt(value: object) -> None:
    assert not holds_prompt(value)
