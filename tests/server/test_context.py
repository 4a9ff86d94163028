"""The context opens studies for inferences, clicks and background encoding: each is read once."""

from pathlib import Path

import numpy as np
import pytest

from tests.server.conftest import SHAPE, affine, head, make_study, save
from zeus_app.errors import InputError
from zeus_app.server.context import ServerContext, open_context


@pytest.fixture
def ctx(tmp_path: Path) -> ServerContext:
    make_study(tmp_path / "studies", "alpha", 1)
    return open_context(
        str(tmp_path / "studies"), {"state": str(tmp_path / "state"), "target": "phantom"}
    )


def test_a_study_and_each_of_its_sequences_are_one_opened_study(ctx: ServerContext) -> None:
    resolve = ctx.datastore.catalogue.resolve
    study, flair = (ctx.open_study(resolve(name)) for name in ("alpha", "alpha/FLAIR"))
    assert study.stack is flair.stack
    assert flair.source_grids["FLAIR"].shape == (12, 10, 6)


def test_two_requests_for_a_session_s_file_share_one_reading_and_keep_their_own_ids(
    ctx: ServerContext, tmp_path: Path
) -> None:
    file = save(tmp_path / "t2.nii.gz", head(5), affine())
    images = [ctx.datastore.catalogue.temporary_study(file) for _ in range(2)]
    opened = [ctx.open_study(image) for image in images]
    assert opened[0].stack is opened[1].stack
    assert [study.id for study in opened] == [image.study for image in images]
    assert opened[0].id != opened[1].id


def test_a_file_that_was_replaced_is_read_again(ctx: ServerContext, tmp_path: Path) -> None:
    alpha = ctx.datastore.catalogue.resolve("alpha")
    before = ctx.open_study(alpha)
    path = tmp_path / "studies" / "alpha" / "alpha_t2.nii.gz"
    save(path, head(6, (26, 20, 6)), affine())
    after = ctx.open_study(alpha)
    assert (before.source_grid.shape, after.source_grid.shape) == (SHAPE, (26, 20, 6))


def test_a_study_whose_voxels_cannot_be_used_leaves_the_list_when_it_is_opened(
    tmp_path: Path,
) -> None:
    voxels = head(1)
    voxels[3, 3, 3] = np.nan
    save(tmp_path / "studies" / "nan" / "t2.nii.gz", voxels, affine())
    ctx = open_context(str(tmp_path / "studies"), {"state": str(tmp_path / "state")})
    with pytest.raises(InputError, match="NaN"):
        ctx.open_study(ctx.datastore.catalogue.resolve("nan"))
    assert ctx.datastore.list_images() == []


def test_a_study_whose_file_is_gone_is_not_answered_from_the_cache(
    ctx: ServerContext, tmp_path: Path
) -> None:
    alpha = ctx.datastore.catalogue.resolve("alpha")
    ctx.open_study(alpha)
    (tmp_path / "studies" / "alpha" / "alpha_t2.nii.gz").unlink()
    assert ctx.open_study(alpha).used == ("FLAIR",)
    (tmp_path / "studies" / "alpha" / "alpha_flair.nii.gz").unlink()
    with pytest.raises(InputError, match=r"alpha_flair\.nii\.gz cannot be read"):
        ctx.open_study(alpha)
