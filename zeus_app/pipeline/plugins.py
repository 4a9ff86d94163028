"""Models from outside Zeus: modules that the operator names in the variable ZEUS_PLUGINS.

ZEUS_PLUGINS holds module names, separated by commas: `ZEUS_PLUGINS=lab.models make serve ...`.
Each module has a table MODELS, from the name that the setting `model` takes to a ModelPlugin:

    MODELS = {"nnunet": ModelPlugin(segmenter=build_segmenter, clicks=build_clicks)}

The server and its training processes import the modules before they build a model. An importing
process runs the module's code with its own rights. The names therefore come from the environment of
the process alone: no request and no `--conf` setting can name a module.
"""

import importlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zeus_app.errors import InputError
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.prompts.segmenter import ClickSegmenter
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder

VARIABLE = "ZEUS_PLUGINS"
PLUGIN = "plugin"
"""The learner of a model from outside Zeus. It has no recipe, so that the paper's values count."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelPlugin:
    """Builders of a model that does not come with Zeus.

    Attributes:
        segmenter: builds what segments whole studies and learns from labels.
        clicks: builds what answers clicks; None for Zeus's own click segmenter.
    """

    segmenter: Callable[[ZeusConfig, StateFolder], Segmenter]
    clicks: Callable[[ZeusConfig, StateFolder], ClickSegmenter] | None = None


def plugin_models() -> Mapping[str, ModelPlugin]:
    """The models of all plugins by name. A later module replaces a model of an earlier one.

    Raises:
        InputError: a module cannot be imported, or has no table MODELS of ModelPlugin values.
    """
    models: dict[str, ModelPlugin] = {}
    for module in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        models |= _models_of(module)
    return models


def learner_of(config: ZeusConfig) -> str:
    """The learner of a server, by whose name `settings.recipes` finds the values of a recipe.

    Raises:
        InputError: a plugin cannot be imported.
    """
    if config.model in plugin_models():
        return PLUGIN
    return config.chosen_decoder if config.model == "zeus" else config.model


def _models_of(module: str) -> Mapping[str, ModelPlugin]:
    try:
        models = getattr(importlib.import_module(module), "MODELS", None)
    except (ImportError, SyntaxError, TypeError, ValueError) as error:
        raise _refusal(f"the module {module!r}, which cannot be imported: {error}") from error
    if not isinstance(models, Mapping) or not all(
        isinstance(model, ModelPlugin) for model in models.values()
    ):
        raise _refusal(f"the module {module!r}, which has no MODELS of ModelPlugin values")
    logger.info("Zeus: plugin %s brings the models %s", module, ", ".join(map(str, models)))
    return models


def _refusal(problem: str) -> InputError:
    return InputError(
        f"{VARIABLE} names {problem}",
        expected="module names separated by commas, for example lab.models,other_lab.models;"
        " each module has a table MODELS of name -> ModelPlugin",
        remedy=f"put the module's parent folder on PYTHONPATH, or unset {VARIABLE}",
    )
