"""What clients send to POST /train, turned into a TrainConfig."""

from collections.abc import Mapping
from typing import Any

from zeus_app.config import TrainConfig
from zeus_app.errors import InputError
from zeus_app.registry import lookup

STOCK_NAMES = {
    "max_epochs": "epochs",
    "early_stop_patience": "early_stop",
    "val_split": "validation_fraction",
    "train_batch_size": "batch_slices",
}
"""Parameters of MONAI Label's own trainers that mean a setting of Zeus."""

WITHOUT_MEANING = frozenset({
    "amp", "bundle_path", "client_id", "dataloader", "dataset", "device", "enqueue", "gpus",
    "local_rank", "model", "multi_gpu", "name", "pretrained", "run_id", "tracking",
    "tracking_experiment_name", "tracking_uri", "val_batch_size",
})  # fmt: skip
"""What stock clients and the server send along and Zeus has no use for: the device is the
server's, a training always goes on from the served weights' towers, validation is per volume."""


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
        if name == "time_budget_s" and value in (0, "0", ""):
            continue  # clients show 0 for "no budget"
        try:
            lookup("training parameter", name, TrainConfig.model_fields)
        except InputError as error:
            raise InputError(error.came, expected=error.expected, remedy=error.remedy) from error
        settings[name] = value
    return TrainConfig.from_conf(settings)


def train_defaults() -> dict[str, Any]:
    """The settings clients show for editing, with their defaults."""
    defaults = TrainConfig().model_dump()
    return {name: 0 if value is None else value for name, value in defaults.items()}
