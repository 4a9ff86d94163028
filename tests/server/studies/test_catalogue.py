"""What the server remembers of studies does not grow without end."""

from pathlib import Path

import numpy as np
import pytest

from tests.server.conftest import affine, head, save
from zeus_app.server.studies import catalogue
from zeus_app.server.studies.catalogue import Catalogue
from zeus_app.storage.state import StateFolder
from zeus_app.targets import load_target


def test_a_session_s_image_has_one_grid_for_all_requests_and_few_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_MAX_GRIDS", 2)
    state = StateFolder(tmp_path / "state", "phantom", "reference-small", "zeus", "hybrid")
    known = Catalogue(tmp_path, load_target("phantom"), state)
    for number in (1, 2, 3, 3):
        path = tmp_path / f"case{number}_t2.nii.gz"
        if not path.exists():
            save(path, head(number, (24 + number, 20, 6)), affine())
        grid = known.grid(known.temporary_study(path))
        assert grid.shape == (24 + number, 20, 6)
        assert np.array_equal(grid.affine_ras, affine())
    assert len(known._grids) == 2
