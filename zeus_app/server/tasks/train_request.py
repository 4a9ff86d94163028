"""The parameters of POST /train, read into a TrainConfig."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from zeus_app.server.tasks.parameters import DROPPED, STOCK_TRAINING_NAMES, lookup_parameter
from zeus_app.settings.config import TrainConfig
from zeus_app.settings.recipes import with_recipe

IGNORED = {
    "amp": "the precision depends on the device",
    "device": "the server's device is used",
    "pretrained": "send start=served to continue from the served weights",
}
"""Dropped parameters that a user may have set on purpose -> what Zeus does instead."""

logger = logging.getLogger(__name__)


def train_config(request: Mapping[str, Any], learner: str) -> TrainConfig:
    """Read a training request.

    A viewer sends back the whole form that `train_defaults` fills. Values that the user left as
    they were shown then count as not named, so that another recipe in the form takes effect.

    Args:
        request: the parameters as a client sent them.
        learner: what the server trains; see `plugins.learner_of`.

    Raises:
        InputError: a parameter is unknown, or its value is invalid. The status is always 400.
    """
    settings = _settings_of(request)
    if settings.keys() >= TrainConfig.model_fields.keys():
        sent, shown = TrainConfig.from_conf(settings), with_recipe({}, learner)
        settings = {
            name: value
            for name, value in settings.items()
            if getattr(sent, name) != getattr(shown, name)
        }
    return with_recipe(settings, learner)


def _settings_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are settings, under Zeus's names.

    Raises:
        InputError: a parameter is unknown.
    """
    settings: dict[str, Any] = {}
    for key, value in request.items():
        name = STOCK_TRAINING_NAMES.get(key, key)
        if key in IGNORED and value is not None:
            log_ignored(key)
        if key in DROPPED or value is None:
            continue
        lookup_parameter("training parameter", name, TrainConfig.model_fields)
        # Clients show 0 for "no budget".
        no_budget = name == "time_budget_s" and value in (0, "0", "")
        settings[name] = None if no_budget else value
    return settings


@cache
def log_ignored(name: str) -> None:
    """Log once per process that a parameter is ignored."""
    logger.info("training parameter %s is ignored: %s", name, IGNORED[name])


def train_defaults(learner: str) -> dict[str, Any]:
    """The settings that clients show for editing: the values of a request without parameters."""
    defaults = with_recipe({}, learner).model_dump()
    return {name: 0 if value is None else value for name, value in defaults.items()}
