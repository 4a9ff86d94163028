"""The shipped profile assembled from its true weights: every mode and fusion learns and answers."""

from pathlib import Path

import numpy as np
import pytest

from zeus_app import build
from zeus_app.build import build_segmenter
from zeus_app.config import TrainConfig, ZeusConfig
from zeus_app.pipeline import Segmenter
from zeus_app.state import state_folder
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.loop import Epoch
from zeus_app.types import Grid, LabelledStudy, Study, Volume

SHAPE = (40, 40, 2)
AFFINE = np.diag([3.0, 3.0, 6.0, 1.0])
LESION = np.s_[12:20, 14:24, :]


def a_study() -> Study:
    """A round head, its lesion bright in T2, its cyst dark in FLAIR."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40), indexing="ij")
    inside = (x**2 + y**2 < 0.8)[..., None]
    t2, flair = (np.where(inside, rng.uniform(200, 300, SHAPE), 0) for _ in range(2))
    t2[LESION] = 900
    flair[24:30, 20:28] = 50
    volumes = {name: Volume(v.astype(np.float32), AFFINE) for name, v in
               (("T2", t2), ("FLAIR", flair))}  # fmt: skip
    return Study("alpha", volumes)


def a_label() -> Volume:
    label = np.zeros(SHAPE, np.uint8)
    label[LESION] = 1
    label[24:30, 20:28] = 2
    return Volume(label, AFFINE)


def assembled(state: Path, **settings: object) -> Segmenter:
    config = ZeusConfig.from_conf(
        {"target": "phantom", "device": "cpu", "state": str(state), "instruction_tokens": 4}
        | settings
    )
    return build_segmenter(config, state_folder(config, target="phantom", studies=state))


def trained_parts(segmenter: Segmenter) -> dict[str, np.ndarray]:
    state = segmenter.model.trainable.state_dict()
    return {name: value.numpy().copy() for name, value in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "learning"),
    [
        ({"fusion": "hybrid"}, {"aligner", "decoders.0"}),
        ({"fusion": "late"}, {"aligner", "decoders.0", "decoders.1"}),
        ({"fusion": "late", "scope": "all"}, {"aligner", "decoders.0", "decoders.1"}),
        ({"instruction": "embedding"}, {"aligner", "decoders.0", "projector"}),
        ({"instruction": "both"}, {"aligner", "decoders.0", "projector"}),
        ({"instruction": "embedding", "fusion": "late"},
         {"aligner", "decoders.0", "decoders.1", "projector"}),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)  # fmt: skip
def test_each_mode_and_fusion_learns_what_it_should_and_answers(
    tmp_path: Path, settings: dict[str, str], learning: set[str]
) -> None:
    segmenter = assembled(tmp_path, **settings)
    before = trained_parts(segmenter)
    recipe = TrainConfig(epochs=2, batch_slices=2, validation_fraction=0)
    study = LabelledStudy(
        "alpha", a_study, a_label, lambda: Grid(SHAPE, AFFINE), "alpha", ("T2", "FLAIR")
    )
    result = segmenter.fit([study], recipe)
    assert len(result.epochs) == 2
    after = trained_parts(segmenter)
    moved = {name for name, value in after.items() if not np.array_equal(value, before[name])}
    modules = {
        ".".join(name.split(".")[: 2 if name.startswith("decoders") else 1]) for name in moved
    }
    assert modules == learning
    answer = segmenter.segment(a_study())
    assert answer.checkpoint == "v0001"
    assert answer.label_map.array.shape == SHAPE
    assert {one.sequence for one in answer.instructions} == {"T2", "FLAIR"}


class Killed(Exception):
    pass


@pytest.mark.slow
def test_the_projection_learns_first_and_the_texts_are_then_written_with_it(
    tmp_path: Path,
) -> None:
    segmenter = assembled(tmp_path)
    before = trained_parts(segmenter)
    study = LabelledStudy(
        "alpha", a_study, a_label, lambda: Grid(SHAPE, AFFINE), "alpha", ("T2", "FLAIR")
    )
    recipe = TrainConfig(epochs=4, batch_slices=2, validation_fraction=0, projection_share=0.5)

    def kill_in_the_second_part(epoch: Epoch, done: int, total: int) -> None:
        if segmenter.checkpoints.resume_path.exists():
            raise Killed

    with pytest.raises(Killed):
        segmenter.fit([study], recipe, progress=kill_in_the_second_part)
    result = segmenter.fit([study], recipe)
    projections = Checkpoints(segmenter.checkpoints.folder / "projection")
    (first,) = projections.versions()  # gone on with, not learnt again
    assert (first.epoch, len(result.epochs)) == (2, 2)

    learnt = projections.load(first.version, fitted_to={})
    segmenter.reload()
    after = trained_parts(segmenter)
    for name in [name for name in after if name.startswith("projector.")]:
        np.testing.assert_array_equal(after[name], learnt[name].numpy())
    assert any(
        not np.array_equal(after[name], before[name])
        for name in after
        if name.startswith("projector.")
    )
    assert [one.model for one in segmenter.segment(a_study()).instructions] == [
        segmenter.model.tower_ids["LLM"]
    ] * 4
