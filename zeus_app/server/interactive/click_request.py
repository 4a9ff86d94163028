"""Click requests in the forms that 3D Slicer, OHIF and plain HTTP clients send.

- deepgrow: `foreground` and `background`, lists of [i, j, k] voxels of the image that the client
  loaded; `label`; `slice` (2-D); `roi`, a box as [i0, i1, j0, j1, k0, k1] or two corners;
  `reset_state`.
- deepedit: a list of [i, j, k] under each label's name, and under `background`.

Stock clients send all points again in every request. Empty lists mean that no point is left.

`mode` says what happens to the prompts of earlier requests: "replace", "add", "undo" or "reset".
Without `mode`, the older parameters count: `refine`, `undo`, `reset` and `reset_state` (deprecated;
stock 3D Slicer sends `reset_state`). `prior` is the deprecated name of `initial_mask`.

With scribbles, 3D Slicer sends a label file, `label_info` and `selected_label_name`, which means
the same as `label`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from zeus_app.errors import InputError
from zeus_app.instructions.own_texts import INSTRUCTIONS
from zeus_app.labels.segments import LABEL_INFO
from zeus_app.prompts.types import StudyPrompt, Voxel, cut_box, outside
from zeus_app.server.interactive.click_values import (
    once,
    read_box,
    read_flag,
    read_points,
    read_whole_number,
)
from zeus_app.server.tasks.chosen_sequences import read_sequences
from zeus_app.server.tasks.guidance import named_label, read_guidance
from zeus_app.server.tasks.inference import LABEL_FILE
from zeus_app.server.tasks.options import MAX_SLICES, MOST_SLICES, OVERWRITE, chosen
from zeus_app.settings.registry import lookup
from zeus_app.targets import Target
from zeus_app.types import Grid, Guidance

BACKGROUND = "background"
"""Name of the points outside every label. Stock clients list it as one more label."""
INITIAL_MASKS = ("original", "final", "uploaded", "text")
"""Where an initial mask can come from."""


class ClickMode(StrEnum):
    """What a request does with its user's earlier prompts on the same study."""

    REPLACE = "replace"
    """The prompts of the request are all that count from now on."""
    ADD = "add"
    """The prompts of the request are added to the earlier ones."""
    UNDO = "undo"
    """The newest step is taken back. Prompts of the request do not count."""
    RESET = "reset"
    """The whole history is deleted. Then the prompts of the request count."""


@dataclass(frozen=True)
class ClickRequest:
    """One request.

    Attributes:
        prompts: label name -> points and box, in voxels of the image that the client sees.
        mode: what happens to the earlier prompts.
        slice_index: the slice to answer in 2-D, on the third axis of that image; None: the slice of
            the newest click.
        sequences: names of the sequences to use; empty: all.
        max_slices: slices that a 3-D mask is propagated to, in each direction.
        label: name of the label of the scribbles and of deepgrow points.
        initial_mask: where the mask to refine comes from: "original" (the newest prediction),
            "final" (the submitted label), "uploaded", "text" (a new prediction with `guidance`), or
            "" for none.
        guidance: the user's own instructions for "text".
        use_scribbles: whether the uploaded scribbles count.
        overwrite: whether a new mask may take voxels of the user's other segments.
        names_label: whether the request says which label its points and scribbles belong to. The
            OHIF that comes with MONAI Label names none with the points of a deepgrow model.
        label_file: the label file that came with the request, see `sent_label.py`; or None.
        label_info: the client's list of the segments in this file, not read yet.
        user: name of the user whose history the request belongs to.
        session: id of the MONAI Label session whose image is clicked, or "".
    """

    prompts: Mapping[str, StudyPrompt]
    mode: ClickMode
    slice_index: int | None
    sequences: tuple[str, ...]
    max_slices: int
    label: str
    initial_mask: str
    guidance: Guidance
    use_scribbles: bool
    overwrite: bool
    names_label: bool
    label_file: Path | None
    label_info: object
    user: str
    session: str

    @property
    def is_self_contained(self) -> bool:
        """Whether the answer depends on this request alone, not on a history or a stored mask."""
        replaces_history = self.mode in (ClickMode.REPLACE, ClickMode.RESET)
        return replaces_history and not self.initial_mask and not self.use_scribbles


def read_click_request(request: Mapping[str, Any], target: Target) -> ClickRequest:
    """Read a request in any of the forms.

    Raises:
        InputError: a parameter does not have its form.
        UnknownNameError: the target has no such label or sequence.
    """
    label = _label(request.get("label") or request.get("selected_label_name"), target)
    names_label = len(target.label_names) == 1 or any(map(request.get, target.label_names))
    max_slices = read_whole_number(chosen(request.get(MOST_SLICES)), MOST_SLICES)
    return ClickRequest(
        prompts=_prompts(request, target, label),
        mode=_mode(request, target),
        slice_index=read_whole_number(request.get("slice"), "slice"),
        sequences=read_sequences(request.get("sequences"), target),
        max_slices=MAX_SLICES if max_slices is None else max_slices,
        label=label,
        initial_mask=_initial_mask(request),
        guidance=read_guidance(request, target),
        use_scribbles=read_flag(request.get("scribbles"), "scribbles"),
        overwrite=read_flag(request.get(OVERWRITE), OVERWRITE),
        names_label=names_label or named_label(request, target) is not None,
        label_file=request.get(LABEL_FILE),
        label_info=request.get(LABEL_INFO),
        user=str(request.get("user") or request.get("client_id") or "anonymous"),
        session=str(request.get("session_id") or ""),
    )


def refuse_outside(request: ClickRequest, grid: Grid) -> None:
    """Refuse points, a box and a slice that lie outside the image.

    Raises:
        InputError: names the first such point, the box, or the slice.
    """
    for name, prompt in request.prompts.items():
        for voxel in outside((*prompt.foreground, *prompt.background), grid):
            raise InputError(
                f"a click on {name} at voxel {list(voxel)}",
                expected=f"a voxel of the image that was asked about, {grid}",
                remedy="send voxel indices [i, j, k] of that image, not mm",
            )
        if prompt.box and cut_box(prompt.box, grid) is None:
            raise InputError(
                f"a box around {name} from voxel {list(prompt.box[0])} to {list(prompt.box[1])}",
                expected=f"a box that reaches into the image that was asked about, {grid}",
                remedy="send voxel indices of that image, not mm; what lies outside is cut off",
            )
    # 3D Slicer sends a distance in mm as the slice of a box. An undo does not use the slice.
    has_box = any(prompt.box for prompt in request.prompts.values())
    slice_index, last = request.slice_index or 0, grid.shape[2] - 1
    if slice_index > last and not has_box and request.mode is not ClickMode.UNDO:
        raise InputError(
            f"slice {slice_index}",
            expected=f"0 to {last}",
            remedy=f"count slices from 0; send for example slice: {last // 2}",
        )


def _mode(request: Mapping[str, Any], target: Target) -> ClickMode:
    """Read the mode, from the deprecated parameters if there is no `mode`.

    A request without any list of points is an "add" of nothing.
    """
    flags = {
        name: read_flag(request.get(name), name)
        for name in ("reset", "reset_state", "undo", "refine")
    }
    if request.get("mode"):
        return _named_mode(request["mode"])
    if flags["reset"] or flags["reset_state"]:
        return ClickMode.RESET
    if flags["undo"]:
        return ClickMode.UNDO
    lists = ("foreground", BACKGROUND, "roi", *target.label_names)
    has_lists = any(request.get(name) is not None for name in lists)
    return ClickMode.REPLACE if has_lists and not flags["refine"] else ClickMode.ADD


def _named_mode(name: object) -> ClickMode:
    try:
        return ClickMode(str(name))
    except ValueError:
        raise InputError(
            f"mode {str(name)[:80]!r}",
            expected=", ".join(ClickMode),
            remedy='send for example "add"',
        ) from None


def _prompts(request: Mapping[str, Any], target: Target, label: str) -> dict[str, StudyPrompt]:
    """Label name -> points and box; `label` is that of the deepgrow points and of the box."""
    foreground = read_points(request.get("foreground"), "foreground")
    background = read_points(request.get(BACKGROUND), BACKGROUND)
    if request.get("label") == BACKGROUND:  # the user clicked on the background
        foreground, background = (), once(background + foreground)
    points = {
        name: read_points(request[name], name) for name in target.label_names if request.get(name)
    }
    box = read_box(request.get("roi"))
    if foreground or box or (background and not points):
        points[label] = once(points.get(label, ()) + foreground)
    return {
        # A point on another label is a background point of this label.
        name: StudyPrompt(
            foreground=voxels,
            background=once(background + _points_of_others(points, name)),
            box=box if name == label else None,
        )
        for name, voxels in points.items()
    }


def _points_of_others(points: Mapping[str, tuple[Voxel, ...]], name: str) -> tuple[Voxel, ...]:
    return tuple(voxel for other, voxels in points.items() if other != name for voxel in voxels)


def _label(value: object, target: Target) -> str:
    """The label that a request names, or the target's first."""
    # Some deepedit clients send the list of all labels.
    if not value or not isinstance(value, str) or value == BACKGROUND:
        return target.label_names[0]
    return lookup("label", value, {name: name for name in target.label_names})


def _initial_mask(request: Mapping[str, Any]) -> str:
    """Read `initial_mask`, or the deprecated `prior`; "text" if there are texts alone."""
    name = "initial_mask" if request.get("initial_mask") else "prior"
    value = str(request.get(name) or ("text" if request.get(INSTRUCTIONS) else ""))
    if value and value not in INITIAL_MASKS:
        raise InputError(
            f"{name} {value!r}",
            expected="original (the newest prediction), final (the submitted label), uploaded, or"
            " text (a new prediction with the instructions)",
            remedy=f'send for example {name}: "original", or upload a mask with'
            " PUT /zeus/clicks/{study}/initial_mask and send uploaded",
        )
    return value
