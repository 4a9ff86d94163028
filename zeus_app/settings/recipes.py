"""Recipes: named sets of training parameters, with values of their own for each learner.

A request names a recipe, or takes "default". Each parameter that the request names itself wins over
the recipe. What a recipe does not set has the paper's value, the default of a `TrainConfig` field.
"""

from collections.abc import Mapping

from zeus_app.settings.config import TrainConfig

DEFAULT = "default"
"""The recipe of a request that names none."""

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
        "unet": {
            "epochs": 10000,
            "time_budget_s": 300,
            "batch_slices": 8,
            "learning_rate": 1e-3,
            "weight_decay": 1e-5,
            "poly_power": 0.9,
            "augment": 1,
            "intensity": 1,
            "validation_fraction": 0,
            "early_stop": 10000,
            "foreground": 0.7,
        },
    },
    "paper": {},
}
"""Recipe -> learner -> values of `TrainConfig` fields.

A learner is Zeus's decoder (readout, both or sam) or the name of another model. A model without an
entry, such as a plugin, is trained with the paper's values.
"""


def with_recipe(settings: Mapping[str, object], learner: str) -> TrainConfig:
    """The settings of a training: those that are given, and the recipe's for all others.

    Args:
        settings: names and values of `TrainConfig` fields, also as strings; `recipe` among them, or
            the recipe is "default".
        learner: what is trained; a key of `RECIPES`, or any other name for the paper's values.

    Raises:
        UnknownNameError: a name is no setting.
        InputError: a value is invalid.
    """
    TrainConfig.from_conf(settings)  # names the wrong setting; below, the recipe must be known
    recipe = str(settings.get("recipe", DEFAULT))
    values = RECIPES[recipe].get(learner, {})
    return TrainConfig.from_conf({**values, **settings, "recipe": recipe})
