"""The projection that learns first: its studies count as trained on, and it is used again."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import TinyModel, TinyPrepared, tiny_setup
from zeus_app.errors import InputError
from zeus_app.settings.config import TrainConfig
from zeus_app.targets import load_target
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo, Checkpoints
from zeus_app.training.fitter import fit
from zeus_app.training.loop import Epoch
from zeus_app.types import Grid, LabelledStudy, SliceStack, Study, Volume

SHAPE = (16, 16, 2)
PHANTOM = load_target("phantom")
TARGET = PHANTOM.model_copy(update={"labels": PHANTOM.labels[:1]})
RECIPE = TrainConfig(epochs=4, batch_slices=4, validation_fraction=0, projection_share=0.5)


class Killed(Exception):
    pass


class Projecting(TinyModel):
    """A model whose whole trainable part is taken for its projection."""

    reads_text = False

    def __init__(self, towers: str) -> None:
        super().__init__()
        self.tower_ids = {"image encoder": towers}

    def cache_bytes(self, pictures: int) -> int:
        return 0

    def pin_embeddings(self) -> AbstractContextManager[None]:
        return nullcontext()

    def prepare(self, stack: SliceStack, **_: object) -> TinyPrepared:
        return TinyPrepared(stack.tissue.T, stack.pixels.swapaxes(0, 1))

    def calibrate(self, studies: object) -> None:
        pass

    @contextmanager
    def through_last_layer(self) -> Iterator[None]:
        yield

    def take_projection(self, state: Mapping[str, torch.Tensor]) -> None:
        self.trainable.load_state_dict(state)


def labelled(name: str, *, bright: int = 8) -> LabelledStudy:
    noise = np.random.default_rng(0).uniform(100, 200, SHAPE).astype(np.float32)
    noise[:4] = 0
    label = np.zeros(SHAPE, np.uint8)
    label[6:bright, 6:10] = 1
    return LabelledStudy(
        id=name,
        read_study=lambda: Study(name, {"T2": Volume(noise, np.eye(4))}),
        read_label=lambda: Volume(label, np.eye(4)),
        read_grid=lambda: Grid(SHAPE, np.eye(4)),
        patient=name,
        sequences=("T2",),
    )


def trained(
    folder: Path,
    *studies: LabelledStudy,
    recipe: TrainConfig = RECIPE,
    kill_in_part: int = 0,
    towers: str = "tiny",
) -> CheckpointInfo:
    """Train; with `kill_in_part` 2, an epoch of the second part is kept and then it is killed."""
    setup = tiny_setup(folder, Projecting(towers), target=TARGET)

    def progress(epoch: Epoch, done: int, total: int) -> None:
        if kill_in_part == 2 and setup.checkpoints.resume_path.exists():
            raise Killed

    return fit(setup, studies, recipe, progress=progress).checkpoint


def projections(folder: Path) -> list[CheckpointInfo]:
    return Checkpoints(folder / "projection").versions()


def interrupted(folder: Path, *studies: LabelledStudy, recipe: TrainConfig = RECIPE) -> None:
    with pytest.raises(Killed):
        trained(folder, *studies, recipe=recipe, kill_in_part=2)


def test_an_interrupted_second_part_uses_the_projection_of_the_first_part_again(
    tmp_path: Path,
) -> None:
    interrupted(tmp_path, labelled("a"), labelled("b"))
    trained(tmp_path, labelled("a"), labelled("b"))
    assert len(projections(tmp_path)) == 1


def test_a_projection_of_other_studies_is_not_taken(tmp_path: Path) -> None:
    interrupted(tmp_path, labelled("a"), labelled("b"))
    checkpoint = trained(tmp_path, labelled("a"))
    assert [projection.studies for projection in projections(tmp_path)] == [("a", "b"), ("a",)]
    assert checkpoint.studies == ("a",)


def test_a_projection_of_masks_that_were_corrected_is_not_taken(tmp_path: Path) -> None:
    interrupted(tmp_path, labelled("a"))
    trained(tmp_path, labelled("a", bright=9))
    assert len(projections(tmp_path)) == 2


def test_a_projection_of_other_towers_is_not_taken(tmp_path: Path) -> None:
    interrupted(tmp_path, labelled("a"))
    trained(tmp_path, labelled("a"), towers="others")
    assert len(projections(tmp_path)) == 2


def test_a_projection_that_began_from_another_version_is_not_taken(tmp_path: Path) -> None:
    on = RECIPE.model_copy(update={"start": "served"})
    trained(tmp_path, labelled("a"))
    interrupted(tmp_path, labelled("b"), recipe=on)
    Checkpoints(tmp_path).serve(UNTRAINED)
    trained(tmp_path, labelled("b"), recipe=on)
    assert [projection.parent for projection in projections(tmp_path)] == [
        UNTRAINED,
        "v0001",
        UNTRAINED,
    ]


def test_studies_that_only_the_projection_was_trained_on_count_as_trained_on(
    tmp_path: Path,
) -> None:
    times_read = 0

    def read_once() -> Study:
        nonlocal times_read
        times_read += 1
        if times_read > 1:
            raise InputError("b is gone", expected="a file", remedy="put it back")
        return labelled("b").read_study()

    whole = labelled("b")
    flaky = LabelledStudy("b", read_once, whole.read_label, whole.read_grid, "bob", ("T2",))
    checkpoint = trained(tmp_path, labelled("a"), flaky)
    assert checkpoint.left_out
    assert (checkpoint.studies, checkpoint.patients) == (("a", "b"), ("a", "bob"))
