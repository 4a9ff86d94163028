"""Load a model: which state folder, and which version of the weights."""

import re
from pathlib import Path

from zeus_app.api.model import ZeusModel
from zeus_app.errors import InputError
from zeus_app.settings.config import ZeusConfig, default_state_folder
from zeus_app.storage.state import state_folder, with_decoder
from zeus_app.targets import Target, target_of
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints

_VERSION = re.compile(r"v\d{4,}")


def load(
    target: str | Path,
    *,
    studies: str | Path | None = None,
    state: str | Path | None = None,
    checkpoint: str | Path = "",
    **settings: object,
) -> ZeusModel:
    """Load the model that a server of these studies or of this state folder would serve.

    Weights are read when they are first needed. Nothing is downloaded.

    Args:
        target: name of a shipped target such as "brain_tumour", or path of a target's YAML file.
        studies: the studies folder, or a study in it: its default state folder is used.
        state: the state folder, which keeps labels, checkpoints and caches.
        checkpoint: a version such as "v0003", "untrained", or the path of a version's file
            v0003.pt; empty: the served version.
        settings: any other setting of `zeus serve --set`, for example profile="paper".

    Raises:
        InputError: neither `studies` nor `state` was given, or a setting is unknown or invalid.
        UnknownNameError: no such target or checkpoint.
    """
    config = ZeusConfig.from_conf({**settings, "target": str(target)})
    chosen = target_of(config)
    if state is None and studies is None:
        raise InputError(
            "neither a studies folder nor a state folder",
            expected="a folder for labels, checkpoints and caches",
            remedy="give studies, as `zeus serve` gets it, or state, as its --state",
        )
    folder = Path(studies or Path()).absolute()
    root = Path(state) if state is not None else _default_state(folder, chosen)
    config = config.model_copy(update={"state": root.absolute()})
    config = with_decoder(config, target=chosen.name, studies=folder)
    kept = state_folder(config, target=chosen.name, studies=folder)
    return ZeusModel(config, chosen, kept, _checkpoints(kept.checkpoints, str(checkpoint)))


def _default_state(path: Path, target: Target) -> Path:
    """The default state folder of the path, or of the nearest folder above it that has one."""
    start = path.resolve() if path.is_dir() else path.resolve().parent
    states = [default_state_folder(folder) for folder in (start, *start.parents)]
    return next((state for state in states if (state / target.name).is_dir()), states[0])


def _checkpoints(folder: Path, chosen: str) -> Checkpoints:
    """The versions in a folder with the chosen one pinned.

    Raises:
        InputError: it is no version and no file of one.
        UnknownNameError: there is no such version.
    """
    if not chosen:
        return Checkpoints(folder)
    if chosen == UNTRAINED or _VERSION.fullmatch(chosen):
        pinned = Checkpoints(folder, pinned=chosen)
    else:
        path = Path(chosen)
        if not (path.is_file() and _VERSION.fullmatch(path.stem)):
            raise InputError(
                f"checkpoint {chosen!r}",
                expected="a version such as v0003, untrained, or the path of a file v0003.pt, with"
                " its v0003.json beside it",
                remedy="check the path, for example with ls",
            )
        pinned = Checkpoints(path.absolute().parent, pinned=path.stem)
    pinned.served()  # refuses an unknown version now
    return pinned
