"""Recipes: named sets of training parameters, with values of their own for each learner.

Zeus's values stand here. Those of each other network are a YAML file in `baselines/recipes`.

A request names a recipe, or takes "default". Each parameter that the request names itself wins over
the recipe. What a recipe does not set has the paper's value, the default of a `TrainConfig` field.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from zeus_app.settings.config import TrainConfig
from zeus_app.settings.presets import load, shipped

DEFAULT = "default"
"""The recipe of a request that names none."""
NETWORK_RECIPES = "zeus_app.baselines.recipes"
"""Package of the YAML files, each named after a network."""

_READOUT: Mapping[str, object] = {
    "epochs": 10000,
    "time_budget_s": 300,
    "batch_slices": 8,
    "learning_rate": 3e-3,
    "weight_decay": 0,
    "warm_up": 0.05,
    "clip_gradient": 5,
    "sequence_loss_first": 0,
    "sequence_loss": 0,
    "sequence_dropout": 0.5,
    "balance_first": 0.2,
    "pixels_alone": 0.5,
    "augment": 1,
    "intensity": 0.5,
    "validation_fraction": 0,
    "early_stop": 10000,
    "foreground": 0.7,
}

RECIPES: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    DEFAULT: {
        "readout": _READOUT,
        "both": _READOUT,
        "sam": {
            "epochs": 10000,
            "time_budget_s": 300,
            "batch_slices": 2,
            "learning_rate": 2e-4,
            "augment": 1,
            "validation_fraction": 0,
            "early_stop": 10000,
        },
    },
    "paper": {},
}
"""Recipe -> Zeus's decoder (readout, both or sam) -> values of `TrainConfig` fields."""


class NetworkRecipe(BaseModel):
    """The default recipe of a network.

    Attributes:
        source: where the values come from.
        tuned: whether they were chosen by measurement for this network.
        values: of `TrainConfig` fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    tuned: bool
    values: dict[str, Any]


def network_recipe(name: str) -> NetworkRecipe:
    """The default recipe of a network.

    Raises:
        UnknownNameError: no network has this name.
        InputError: its file is not valid.
    """
    return load("recipe", name, NETWORK_RECIPES, NetworkRecipe)


def recipe_values(recipe: str, learner: str) -> Mapping[str, object]:
    """The values of `TrainConfig` fields that a recipe sets for a learner.

    Args:
        recipe: a key of `RECIPES`.
        learner: Zeus's decoder or a network's name. For any other, such as a plugin, the recipe
            sets nothing.
    """
    if recipe == DEFAULT and learner in shipped(NETWORK_RECIPES):
        return network_recipe(learner).values
    return RECIPES[recipe].get(learner, {})


def with_recipe(settings: Mapping[str, object], learner: str) -> TrainConfig:
    """The settings of a training: those that are given, and the recipe's for all others.

    Args:
        settings: names and values of `TrainConfig` fields, also as strings; `recipe` among them, or
            the recipe is "default".
        learner: what is trained; see `recipe_values`.

    Raises:
        UnknownNameError: a name is no setting.
        InputError: a value is invalid.
    """
    TrainConfig.from_conf(settings)  # names the wrong setting; below, the recipe must be known
    recipe = str(settings.get("recipe", DEFAULT))
    values = recipe_values(recipe, learner)
    return TrainConfig.from_conf({**values, **settings, "recipe": recipe})
