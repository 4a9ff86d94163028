"""A training on chosen patients: its steps are counted, and its budget holds the preparation."""

from pathlib import Path

import pytest
import torch

from tests.training.conftest import TinyModel, labelled_study, tiny_case, tiny_setup
from zeus_app.bench.training import StepTimes, train
from zeus_app.errors import InputError
from zeus_app.progress import silent
from zeus_app.protocols import Prepared
from zeus_app.settings.config import TrainConfig
from zeus_app.types import Grid, LabelledStudy


class Calibrated(TinyModel):
    def calibrate(self, studies: list[Prepared]) -> None:
        self.calibrated = len(studies)


def study(name: str) -> LabelledStudy:
    def unread() -> None:
        pytest.fail("cases are prepared already")

    return labelled_study(
        name, name, read_study=unread, read_label=unread, grid=Grid((1, 1, 1), torch.eye(4).numpy())  # type: ignore[arg-type]
    )  # fmt: skip


CASES = [tiny_case(name, seed=seed) for seed, name in enumerate("abc")]
STUDIES = {name: study(name) for name in "abc"}
RECIPE = TrainConfig(epochs=2, batch_slices=2, validation_fraction=0, time_budget_s=1000)


def test_every_step_of_the_optimiser_is_counted() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    times = StepTimes(optimizer)
    assert times.median_s is None
    for _ in range(3):
        optimizer.step()
    assert len(times.ends) == 3


def test_a_training_takes_the_steps_of_its_epochs_on_all_cases(tmp_path: Path) -> None:
    model = Calibrated()
    training = train(tiny_setup(tmp_path, model), RECIPE, CASES, STUDIES, report=silent)
    assert training.steps == 2 * (3 * 6) / 2  # epochs, cases of six slices, slices a step
    assert [epoch.number for epoch in training.epochs] == [1, 2]
    assert model.calibrated == 3


def test_a_preparation_that_takes_the_whole_budget_is_refused(tmp_path: Path) -> None:
    setup = tiny_setup(tmp_path, Calibrated())
    with pytest.raises(InputError, match="a preparation of 1000 s"):
        train(setup, RECIPE, CASES, STUDIES, prepared_s=1000, report=silent)


def test_the_preparation_shortens_the_training(tmp_path: Path) -> None:
    setup = tiny_setup(tmp_path, Calibrated())
    recipe = RECIPE.model_copy(update={"epochs": 10**6})
    training = train(setup, recipe, CASES, STUDIES, prepared_s=999.5, report=silent)
    assert training.seconds < 100
