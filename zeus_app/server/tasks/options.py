"""The options of each model that 3D Slicer and OHIF show to their users.

Both show a text as a text field, true or false as a checkbox, and a list as a choice. They keep
what a user enters, and send it with every request of the model. They differ in two ways:

- 3D Slicer sends every option, and of a list the chosen entry. It cannot show a list of numbers.
- OHIF sends only the options that its user changed. Other clients may send a list as they got it.
"""

from typing import Any

from zeus_app.baselines.registry import NETWORKS
from zeus_app.instructions.typed_text import TEXT
from zeus_app.server.tasks.chosen_sequences import SEQUENCES, sequence_choices
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import Target

MOST_SLICES, OVERWRITE = "most_slices", "overwrite"
"""Names of options and of the request's parameters."""
MAX_SLICES = 64
"""Slices that a 3-D mask is propagated to, in each direction, unless the request says otherwise."""
_SLICES = (MAX_SLICES, 0, 1, 2, 4, 8, 16, 32)


def segmentation_options(config: ZeusConfig, target: Target) -> dict[str, Any]:
    """The options of a model that segments a study. As they are, they change nothing."""
    reads_texts = config.model not in NETWORKS and config.instruction != "embedding"
    return {**({TEXT: ""} if reads_texts else {}), SEQUENCES: sequence_choices(target)}


def click_options(config: ZeusConfig, target: Target, *, dimension: int) -> dict[str, Any]:
    """The same for clicks, and whether a mask may replace other segments.

    In 3-D also how far a mask may reach, as texts because Slicer shows no list of numbers.
    """
    reach = {MOST_SLICES: [str(number) for number in _SLICES]} if dimension == 3 else {}
    return {**segmentation_options(config, target), **reach, OVERWRITE: False}


def chosen(value: object) -> object:
    """The chosen entry of an option: of a list as a client got it, the first one."""
    return value[0] if isinstance(value, list) and value else value
