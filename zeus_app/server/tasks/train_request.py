"""What clients send to POST /train, turned into a TrainConfig."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from zeus_app.errors import InputError
from zeus_app.settings.config import TrainConfig
from zeus_app.settings.registry import lookup

STOCK_NAMES = {
    "max_epochs": "epochs",
    "early_stop_patience": "early_stop",
    "val_split": "validation_fraction",
    "train_batch_size": "batch_slices",
}
"""Parameters of MONAI Label's own trainers that mean a setting of Zeus."""

WITHOUT_MEANING = frozenset({
    "bundle_path", "client_id", "dataloader", "dataset", "enqueue", "gpus", "local_rank", "model",
    "multi_gpu", "name", "run_id", "tracking", "tracking_experiment_name", "tracking_uri",
    "val_batch_size",
})  # fmt: skip
"""What stock clients and the server send along and Zeus has no use for."""

IGNORED = {
    "amp": "the device decides the precision",
    "device": "the server's device is used",
    "pretrained": "start=served goes on from the served weights",
}
"""What stock clients send along and a user may have meant, and what Zeus does instead."""

logger = logging.getLogger(__name__)


def train_config(request: Mapping[str, Any]) -> TrainConfig:
    """Read a training request.

    Raises:
        InputError: an unknown parameter or a value that does not fit; always a 400.
    """
    settings: dict[str, Any] = {}
    for key, value in request.items():
        name = STOCK_NAMES.get(key, key)
        if key in WITHOUT_MEANING or value is None:
            continue
        if key in IGNORED:
            say_ignored(key)
            continue
        if name == "time_budget_s" and value in (0, "0", ""):
            continue  # clients show 0 for "no budget"
        try:
            lookup("training parameter", name, TrainConfig.model_fields)
        except InputError as error:
            raise InputError(error.came, expected=error.expected, remedy=error.remedy) from error
        settings[name] = value
    return TrainConfig.from_conf(settings)


@cache
def say_ignored(name: str) -> None:
    """Log, once a process, that a parameter changes nothing."""
    logger.info("training parameter %s is ignored: %s", name, IGNORED[name])


def train_defaults() -> dict[str, Any]:
    """The settings clients show for editing, with their defaults."""
    defaults = TrainConfig().model_dump()
    return {name: 0 if value is None else value for name, value in defaults.items()}
