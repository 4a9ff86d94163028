"""The task that gives a draft back to 3D Slicer, and what the datastore says about drafts."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from infer.draft import DraftInfer
from tests.server.conftest import LESION, lesion_file, make_study
from zeus_app.errors import InputError
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.tasks.inference import RESOLVED_IMAGE
from zeus_app.server.tasks.strategies import FirstUnlabelled, WithDraft


@pytest.fixture
def context(tmp_path: Path) -> ServerContext:
    for seed, study in enumerate(("alpha", "bravo")):
        make_study(tmp_path / "studies", study, seed)
    return open_context(str(tmp_path / "studies"), {"state": str(tmp_path / "state")})


def save_draft(context: ServerContext, folder: Path, study: str) -> None:
    file = str(lesion_file(folder / "l.nii.gz", value=2))
    assert context.datastore.save_label(study, file, "draft", {}) == study


def test_without_a_draft_the_task_is_not_listed_and_says_how_to_save_one(
    context: ServerContext,
) -> None:
    task = DraftInfer(context)
    assert task.is_valid() is False
    resolved = context.datastore.catalogue.resolve("alpha")
    with pytest.raises(InputError, match="no draft") as refused:
        task({RESOLVED_IMAGE: resolved})
    assert "segment called draft" in refused.value.remedy


def test_a_draft_comes_back_on_the_grid_of_the_image(
    context: ServerContext, tmp_path: Path
) -> None:
    save_draft(context, tmp_path, "alpha")
    task = DraftInfer(context)
    assert task.is_valid()
    file, params = task({RESOLVED_IMAGE: context.datastore.catalogue.resolve("alpha")})
    array = np.asarray(nib.load(file).dataobj)
    assert (array[LESION] == 2).all()
    assert array.sum() == 2 * 4 * 4 * 2
    assert params["label_names"] == {"cyst": 2}
    assert params["draft"] == 1
    coarse, _ = task({RESOLVED_IMAGE: context.datastore.catalogue.resolve("alpha/FLAIR")})
    assert nib.load(coarse).shape == (12, 10, 6)
    for path in (file, coarse):
        Path(path).unlink()


def test_a_draft_does_not_complete_its_study_and_clients_see_it_as_the_original(
    context: ServerContext, tmp_path: Path
) -> None:
    save_draft(context, tmp_path, "alpha")
    store = context.datastore
    assert store.get_labeled_images() == []
    assert store.status()["completed"] == 0
    assert store.status()["label_tags"] == {"draft": 1, "original": 1}
    labels = store.json()["objects"]["alpha"]["labels"]
    assert labels["original"]["info"]["params"]["label_names"] == {"cyst": 2}
    assert store.get_label_uri("alpha", "original") == store.get_label_uri("alpha", "draft")
    assert FirstUnlabelled()({}, store) == {"id": "alpha"}
    store.save_label("alpha", str(lesion_file(tmp_path / "f.nii.gz")), "final", {})
    assert set(store.json()["objects"]["alpha"]["labels"]) == {"final"}


def test_the_oldest_draft_comes_first(
    context: ServerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert WithDraft()({}, context.datastore) is None
    for second, study in ((100, "bravo"), (200, "alpha")):
        monkeypatch.setattr("time.time", lambda second=second: float(second))
        save_draft(context, tmp_path, study)
    assert WithDraft()({}, context.datastore) == {"id": "bravo"}
