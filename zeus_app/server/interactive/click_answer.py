"""The answer to prompts: the mask that the client sees, with the user's other segments kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zeus_app.prompts.segmenter import ClickMasks
from zeus_app.reporting.answer import instructions_as_json, names_in
from zeus_app.server.interactive.click_history import prompts_as_json
from zeus_app.server.interactive.click_request import ClickRequest
from zeus_app.server.interactive.kept_segments import KeptSegments, keep_segments
from zeus_app.server.interactive.session import SessionPrompts
from zeus_app.server.tasks.guidance import own_instructions
from zeus_app.studies.align import to_grid
from zeus_app.targets import Target
from zeus_app.types import Grid, LabelArray, Volume


@dataclass(frozen=True, eq=False)
class ClickAnswer:
    """What makes an answer of a request's new masks.

    Attributes:
        target: the labels and their values.
        request: the request.
        prompts: the prompts that counted.
        segments: the user's other segments, on the client's grid.
    """

    target: Target
    request: ClickRequest
    prompts: SessionPrompts
    segments: KeptSegments

    def mask(
        self, label_map: LabelArray, source: Grid, grid: Grid, *, shown: Collection[int]
    ) -> Volume:
        """The target's values on the client's grid.

        Args:
            label_map: (X, Y, S) label indices on the canonical grid.
            source: the canonical grid.
            grid: the client's.
            shown: values of kept labels that the answer shows too.
        """
        values = np.array([0, *self.target.label_values.values()], np.uint8)
        drawn = to_grid(Volume(values[label_map], source.affine_ras), grid, order=0, fill=0.0)
        return keep_segments(drawn, self.segments, new=self.prompts.new_values, shown=shown)

    def params(self, mask: Volume, masks: ClickMasks) -> dict[str, Any]:
        """The parameters that go to the client with the mask.

        Args:
            mask: the answer.
            masks: the new masks behind it.
        """
        target, guidance = self.target, self.request.guidance
        reached = {target.labels[k].name: list(ends) for k, ends in masks.reached.items()}
        return {
            "reached": reached,
            "complete": masks.is_complete,
            **({} if masks.is_complete else {"note": _note(reached, masks.label_map.shape[2])}),
            "label_names": names_in(mask.array, target.label_values),
            "clicks": prompts_as_json(self.prompts.step),
            "sequences": list(self.request.sequences or target.sequence_names),
            "instructions": instructions_as_json(own_instructions(guidance, target)),
        }


def _note(reached: Mapping[str, Sequence[int]], slices: int) -> str:
    """What a user is told about a mask that could not be finished in time."""
    so_far = ", ".join(f"{name}: slices {ends[0]} to {ends[1]}" for name, ends in reached.items())
    return (
        f"not complete, because not all of the {slices} slices are encoded yet ({so_far}). Send the"
        ' same request again for more. GET /zeus/progress shows under "preparing" how many slices'
        " are encoded"
    )


def shown_values(
    request: Mapping[str, Any], target: Target, *, is_deepedit: bool
) -> frozenset[int]:
    """The values of kept labels that the answer shows too.

    The answer to deepgrow and to scribbles is one label: clients paint all of it as that label.
    Slicer names each label of its own to a deepedit model, and keeps its own segments of them.
    """
    values = target.label_values
    shown = {value for name, value in values.items() if is_deepedit and name not in request}
    return frozenset(shown)
