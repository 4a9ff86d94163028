"""docs/networks.md has the tables that its command writes."""

from pathlib import Path

import pytest

from benchmarks.networks import PAGE, parameters, recipes, write
from zeus_app.baselines.registry import NETWORKS


@pytest.mark.slow
def test_the_page_is_what_the_command_writes(tmp_path: Path) -> None:
    page = tmp_path / "networks.md"
    text = PAGE.read_text(encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    write(page)
    assert page.read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_the_paper_s_numbers_stand_beside_ours() -> None:
    row = next(line for line in parameters().splitlines() if "`resunet`" in line)
    # 34.06, 70.35 and 110.82 M are those of ResUNet in the paper's Table 2.
    assert row == "| ResUNet (`resunet`) | 6.50 | 18.01 | 19.49 | 34.06 | 70.35 | 110.82 |"


def test_every_network_has_a_row_with_its_recipe() -> None:
    models = [line.split("`")[1] for line in recipes().splitlines() if line.startswith("| `")]
    assert models == list(NETWORKS)
