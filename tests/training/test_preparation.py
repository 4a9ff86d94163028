"""What a training tells a model of each study, and the space it asks for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import TinyPrepared
from zeus_app.errors import InputError
from zeus_app.progress import silent
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import load_target
from zeus_app.training import preparation
from zeus_app.training.preparation import GIB, check_space, prepare_cases
from zeus_app.types import Grid, Guidance, LabelledStudy, SliceStack, Study, Volume

OWN = Guidance({("T2", "lesion"): "bright and round"})
SHAPE = (32, 32, 2)


class Listener:
    """A model that remembers what it was told."""

    def __init__(self, *, reads_text: bool) -> None:
        self.reads_text = reads_text
        self.told: list[Guidance] = []

    def prepare(self, stack: SliceStack, *, guidance: Guidance, **_: object) -> TinyPrepared:
        self.told.append(guidance)
        return TinyPrepared(stack.tissue.T, stack.pixels.swapaxes(0, 1))


def a_study() -> LabelledStudy:
    noise = np.random.default_rng(0).uniform(100, 200, SHAPE).astype(np.float32)
    noise[:8] = 0
    label = np.zeros(SHAPE, np.uint8)
    label[12:20, 12:20] = 1
    return LabelledStudy(
        "a", lambda: Study("a", {"T2": Volume(noise, np.eye(4))}),
        lambda: Volume(label, np.eye(4)), lambda: Grid(SHAPE, np.eye(4)), "a", ("T2",), OWN,
    )  # fmt: skip


def test_a_study_without_tissue_is_left_out_for_nothing_could_be_drawn_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_tissue(*arguments: object) -> SliceStack:
        stack = slice_stack(*arguments)
        return replace(stack, tissue=np.zeros_like(stack.tissue))

    monkeypatch.setattr(preparation, "slice_stack", without_tissue)
    cases, left_out = prepare_cases(
        [a_study()], model=Listener(reads_text=True), target=load_target("phantom"), report=silent
    )
    assert cases == {}
    assert "no slice shows tissue" in left_out["a"]


class Large:
    """A model that keeps a GiB of every picture."""

    def bytes_to_keep(self, pictures: int) -> int:
        return pictures * GIB


def test_space_is_asked_for_the_sequences_that_a_study_has(tmp_path: Path) -> None:
    # Two slices of T2; PD is not wanted, and of the wanted FLAIR and T1 there are no files.
    study = replace(a_study(), sequences=("T2", "PD"))
    with pytest.raises(InputError, match=r"needs up to 2.0 GiB"):
        check_space(
            [study], model=Large(), wanted=("T2", "FLAIR", "T1"), folder=tmp_path, limit_gib=1
        )


def test_a_study_whose_grid_cannot_be_read_needs_no_space(tmp_path: Path) -> None:
    def fail() -> Grid:
        raise InputError("a volume of NaN", expected="numbers", remedy="export it again")

    study = replace(a_study(), read_grid=fail)
    check_space([study], model=Large(), wanted=("T2",), folder=tmp_path, limit_gib=1)


@pytest.mark.parametrize(("reads_text", "told"), [(True, OWN), (False, Guidance())])
def test_the_users_own_texts_reach_a_model_that_reads(reads_text: bool, told: Guidance) -> None:
    model = Listener(reads_text=reads_text)
    prepare_cases([a_study()], model=model, target=load_target("phantom"), report=silent)
    assert model.told == [told]
