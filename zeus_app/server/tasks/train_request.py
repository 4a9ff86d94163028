"""The parameters of POST /train, read into a TrainConfig."""

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
"""Parameter of MONAI Label's own trainers -> the setting of Zeus with the same meaning."""

WITHOUT_MEANING = frozenset({
    "bundle_path", "client_id", "dataloader", "dataset", "enqueue", "gpus", "local_rank", "model",
    "multi_gpu", "name", "run_id", "tracking", "tracking_experiment_name", "tracking_uri",
    "val_batch_size",
})  # fmt: skip
"""Parameters that stock clients or the server send and that Zeus does not use."""

IGNORED = {
    "amp": "the precision depends on the device",
    "device": "the server's device is used",
    "pretrained": "send start=served to continue from the served weights",
}
"""Parameters that a user may have set on purpose -> what Zeus does instead."""

logger = logging.getLogger(__name__)


def train_config(request: Mapping[str, Any]) -> TrainConfig:
    """Read a training request.

    Raises:
        InputError: a parameter is unknown, or its value is invalid. The status is always 400.
    """
    settings: dict[str, Any] = {}
    for key, value in request.items():
        name = STOCK_NAMES.get(key, key)
        if key in WITHOUT_MEANING or value is None:
            continue
        if key in IGNORED:
            log_ignored(key)
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
def log_ignored(name: str) -> None:
    """Log once per process that a parameter is ignored."""
    logger.info("training parameter %s is ignored: %s", name, IGNORED[name])


def train_defaults() -> dict[str, Any]:
    """The settings that clients show for editing, with their defaults."""
    defaults = TrainConfig().model_dump()
    return {name: 0 if value is None else value for name, value in defaults.items()}
