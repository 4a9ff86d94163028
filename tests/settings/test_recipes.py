from pathlib import Path

import pytest

from zeus_app.baselines.registry import NETWORKS
from zeus_app.errors import InputError
from zeus_app.settings.config import TrainConfig
from zeus_app.settings.presets import shipped
from zeus_app.settings.recipes import (
    DEFAULT,
    NETWORK_RECIPES,
    network_recipe,
    recipe_values,
    with_recipe,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"
LEARNERS = ("readout", "sam", "unet")
"""Those whose values the page of trainings lists."""


def test_a_request_that_names_nothing_takes_the_default_recipe_of_its_learner() -> None:
    config = with_recipe({}, "sam")
    assert config.recipe == "default"
    assert (config.time_budget_s, config.validation_fraction) == (300, 0)
    # The recipe sets no weight decay for SAM's decoder, so the paper's value counts.
    assert config.weight_decay == 5e-4


def test_the_paper_s_recipe_sets_nothing_beside_the_paper_s_values() -> None:
    for learner in LEARNERS:
        assert with_recipe({"recipe": "paper"}, learner) == TrainConfig()


def test_a_model_without_a_recipe_is_trained_with_the_paper_s_values() -> None:
    assert with_recipe({}, "plugin") == TrainConfig(recipe="default")


@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_a_named_parameter_wins_over_the_recipe(recipe: str) -> None:
    config = with_recipe({"recipe": recipe, "augment": "0.5", "time_budget_s": None}, "readout")
    assert (config.augment, config.time_budget_s) == (0.5, None)


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="recipe='best': Input should be 'default' or 'paper'"):
        with_recipe({"recipe": "best"}, "sam")


def test_every_network_has_a_recipe_and_every_recipe_a_network() -> None:
    assert shipped(NETWORK_RECIPES).keys() == NETWORKS.keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_recipe_says_where_its_values_come_from(name: str) -> None:
    assert network_recipe(name).source


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_see_pixels_and_so_learn_from_augmented_images(name: str) -> None:
    config = with_recipe({}, name)
    assert config.augment > 0
    assert config.intensity > 0


@pytest.mark.parametrize("learner", ["readout", "sam", *NETWORKS])
def test_every_value_of_a_recipe_is_valid(learner: str) -> None:
    values = recipe_values(DEFAULT, learner)
    assert TrainConfig.from_conf(values).model_dump(include=set(values)) == values


def test_the_page_lists_what_the_default_recipe_sets() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Recipes")[1].split("\n## ")[0]
    recipes = [recipe_values(DEFAULT, learner) for learner in LEARNERS]
    names = [name for name in TrainConfig.model_fields if any(name in one for one in recipes)]
    assert [line for line in section.splitlines() if line[:3] == "| `"] == [
        f"| `{name}` | {' | '.join(str(recipe.get(name, 'paper')) for recipe in recipes)} |"
        for name in names
    ]
