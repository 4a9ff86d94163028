"""Labelled studies: the same object as long as files, label and instructions are the same."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.server.conftest import LESION, SHAPE, affine, head, make_study, save
from zeus_app.instructions.own_texts import INSTRUCTIONS
from zeus_app.labels.versions import FINAL
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.studies.labelled import LabelledStudies, labelled_study
from zeus_app.targets import load_target
from zeus_app.types import Volume


@pytest.fixture
def ctx(tmp_path: Path) -> ServerContext:
    for seed, study in enumerate(("alpha", "bravo")):
        make_study(tmp_path / "studies", study, seed)
    ctx = open_context(
        str(tmp_path / "studies"), {"state": str(tmp_path / "state"), "target": "phantom"}
    )
    for study in ("alpha", "bravo"):
        submit(ctx, study)
    return ctx


def submit(ctx: ServerContext, study: str, **texts: str) -> None:
    label = np.zeros(SHAPE, np.uint8)
    label[LESION] = 1
    info = {INSTRUCTIONS: {key.replace("_", "/"): text for key, text in texts.items()}}
    ctx.datastore.history.save(study, FINAL, Volume(label, affine()), info)


def test_a_stored_text_for_a_sequence_that_the_target_lacks_is_skipped(ctx: ServerContext) -> None:
    submit(ctx, "alpha", FLAIR_lesion="bright", T2_lesion="dark")
    only_t2 = load_target("phantom").only(("T2",))
    labelled = labelled_study("alpha", ctx.datastore, only_t2)
    assert labelled.guidance.texts == {("T2", "lesion"): "dark"}


def test_a_study_without_changes_stays_the_same_object(ctx: ServerContext) -> None:
    studies = LabelledStudies(ctx.datastore, ctx.target)
    before, after = studies(), studies()
    assert [study.id for study in after] == ["alpha", "bravo"]
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_a_corrected_label_or_another_image_makes_a_new_object(
    ctx: ServerContext, tmp_path: Path
) -> None:
    studies = LabelledStudies(ctx.datastore, ctx.target)
    alpha, bravo = studies()
    submit(ctx, "alpha")
    assert studies()[0] is not alpha
    assert studies()[1] is bravo
    path = save(tmp_path / "studies" / "bravo" / "bravo_t2.nii.gz", head(7), affine())
    os.utime(path, ns=(0, 0))
    assert studies()[1] is not bravo


def test_a_removed_label_and_a_study_whose_files_are_gone_are_left_out(
    ctx: ServerContext, tmp_path: Path
) -> None:
    studies = LabelledStudies(ctx.datastore, ctx.target)
    ctx.datastore.remove_label("alpha", FINAL)
    assert [study.id for study in studies()] == ["bravo"]
    (tmp_path / "studies" / "bravo" / "bravo_t2.nii.gz").unlink()
    assert studies() == []
