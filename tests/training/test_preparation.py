"""What a training hands to a model for each study, and the disk space it needs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import TinyPrepared, tiny_setup
from zeus_app.errors import InputError
from zeus_app.progress import silent
from zeus_app.studies.align import AlignedStudy
from zeus_app.studies.slices import slice_stack
from zeus_app.training import preparation
from zeus_app.training.preparation import check_space, prepare_cases
from zeus_app.types import GIB, Grid, Guidance, LabelledStudy, SliceStack, Study, Volume

OWN = Guidance({("T2", "lesion"): "bright and round"})
SHAPE = (32, 32, 2)


class Listener:
    """A model that remembers the guidance of every study."""

    def __init__(self, *, reads_text: bool) -> None:
        self.reads_text = reads_text
        self.guidance: list[Guidance] = []

    def prepare(self, stack: SliceStack, *, guidance: Guidance, **_: object) -> TinyPrepared:
        self.guidance.append(guidance)
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


def test_a_study_without_tissue_is_skipped_because_nothing_could_be_drawn_from_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_tissue(study: AlignedStudy, sequences: Sequence[str]) -> SliceStack:
        stack = slice_stack(study, tuple(sequences))
        return replace(stack, tissue=np.zeros_like(stack.tissue))

    monkeypatch.setattr(preparation, "slice_stack", without_tissue)
    setup = tiny_setup(tmp_path, Listener(reads_text=True))
    cases, skipped = prepare_cases(setup, [a_study()], report=silent)
    assert cases == {}
    assert "no slice shows tissue" in skipped["a"]


class Large:
    """A model that caches a GiB per picture."""

    def cache_bytes(self, pictures: int) -> int:
        return pictures * GIB


def test_space_is_needed_for_the_sequences_that_a_study_has(tmp_path: Path) -> None:
    # The target reads T2, FLAIR and others; the study has files of T2, two slices, and of PD.
    study = replace(a_study(), sequences=("T2", "PD"))
    with pytest.raises(InputError, match=r"needs up to 2.0 GiB"):
        check_space(tiny_setup(tmp_path, Large(), cache_limit_gib=1), [study])


def test_a_study_whose_grid_cannot_be_read_needs_no_space(tmp_path: Path) -> None:
    def fail() -> Grid:
        raise InputError("a volume of NaN", expected="numbers", remedy="export it again")

    study = replace(a_study(), read_grid=fail)
    check_space(tiny_setup(tmp_path, Large(), cache_limit_gib=1), [study])


@pytest.mark.parametrize(("reads_text", "guidance"), [(True, OWN), (False, Guidance())])
def test_the_users_own_texts_reach_a_model_that_reads_text(
    tmp_path: Path, reads_text: bool, guidance: Guidance
) -> None:
    model = Listener(reads_text=reads_text)
    prepare_cases(tiny_setup(tmp_path, model), [a_study()], report=silent)
    assert model.guidance == [guidance]
