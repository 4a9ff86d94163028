"""What clients send when somebody clicks: the forms of 3D Slicer, of OHIF, and of Zeus's own.

- deepgrow: "foreground" and "background", lists of [i, j, k] of the volume the client loaded,
  "label", "slice" (2-D), "roi" [i0, i1, j0, j1, k0, k1] or two corners, "reset_state";
- deepedit: a list of [i, j, k] under each label's name, and under "background".

Both say all that counts in every request, and nothing with empty lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zeus_app.errors import InputError
from zeus_app.prompts.types import Clicks, Voxel
from zeus_app.server.tasks.answer import INSTRUCTIONS, read_guidance
from zeus_app.settings.registry import lookup
from zeus_app.targets import Target
from zeus_app.types import Guidance

_VOXELS = "a list of [i, j, k] voxel indices of the image"
MOST_SLICES = 64
"""How far a 3-D answer is carried on from a clicked slice, unless told."""
BACKGROUND = "background"
"""Beside every label; stock clients take it for one more label."""
_YES, _NO = ("y", "yes", "t", "true", "on", "1"), ("n", "no", "f", "false", "off", "0", "")


@dataclass(frozen=True)
class ClickRequest:
    """One request.

    Attributes:
        labels: label name -> clicks, in voxels of the image that was asked about.
        says: whether it has words for clicks and boxes, be they empty; then, unless `refine` or
            `undo`, its labels are all that counts.
        slice_index: of the third axis of that image: the one to answer for, in 2-D.
        refine: the clicks come on top of the ones before; stock clients send all of them again.
        undo, reset: take back the newest request, or all of them.
        sequences: those to look at; empty for all.
        most_slices: how far 3-D answers are carried on.
        label: the one scribbles are of, and clicks in the form of deepgrow; "" for the first.
        prior: a mask to start from: "original", "final", "uploaded", "text" (what the model makes
            of the instructions now), or "".
        guidance: the instructions of "text".
        scribbles: whether the uploaded scribbles count.
        user: whose clicks these are.
        session: MONAI Label's session whose image it is about, or "".
    """

    labels: Mapping[str, Clicks]
    says: bool
    slice_index: int | None
    refine: bool
    undo: bool
    reset: bool
    sequences: tuple[str, ...]
    most_slices: int
    label: str
    prior: str
    guidance: Guidance
    scribbles: bool
    user: str
    session: str


def read_clicks(request: Mapping[str, Any], target: Target) -> ClickRequest:
    """Read a request in any of the forms.

    Raises:
        InputError: a parameter that is not of its form, an unknown label or sequence.
    """
    sequences = _names(request.get("sequences"))
    for name in sequences:
        lookup("sequence", name, {known: known for known in target.sequence_names})
    return ClickRequest(
        labels=_labels(request, target),
        says=_says(request, target),
        slice_index=_whole(request, "slice", None),
        refine=_truth(request, "refine"),
        undo=_truth(request, "undo"),
        reset=_truth(request, "reset") or _truth(request, "reset_state"),
        sequences=sequences,
        most_slices=_whole(request, "most_slices", MOST_SLICES) or 0,
        label=_label(request, target),
        prior=_prior(request),
        guidance=read_guidance(request, target),
        scribbles=_truth(request, "scribbles"),
        user=str(request.get("user") or request.get("client_id") or "anonymous"),
        session=str(request.get("session_id") or ""),
    )


def is_self_contained(request: Mapping[str, Any], target: Target) -> bool:
    """Whether the answer depends on the request alone: on no history, and on no mask kept.

    Raises:
        InputError: as `read_clicks`.
    """
    also = any(_truth(request, name) for name in ("refine", "undo", "scribbles"))
    return _says(request, target) and not also and not _prior(request)


def _says(request: Mapping[str, Any], target: Target) -> bool:
    words = ("foreground", BACKGROUND, "roi", *target.label_names)
    return any(request.get(word) is not None for word in words)


def _labels(request: Mapping[str, Any], target: Target) -> dict[str, Clicks]:
    on = _voxels(request.get("foreground"), "foreground")
    beside = _voxels(request.get(BACKGROUND), BACKGROUND)
    if request.get("label") == BACKGROUND:  # whoever points at it points beside the labels
        on, beside = (), beside + on
    by_name = {
        name: _voxels(request[name], name) for name in target.label_names if request.get(name)
    }
    box = _box(request.get("roi"))
    named = _label(request, target) or target.label_names[0]
    if on or box or (beside and not by_name):
        by_name[named] = by_name.get(named, ()) + on
    return {
        # A click on another label is one beside this label.
        name: Clicks(voxels, beside + _others(by_name, name), box if name == named else None)
        for name, voxels in by_name.items()
    }


def _label(request: Mapping[str, Any], target: Target) -> str:
    label = request.get("label") or ""
    if not isinstance(label, str) or label == BACKGROUND:
        return ""  # some deepedit clients send the list of all labels
    return lookup("label", label, {name: name for name in target.label_names}) if label else ""


def _others(by_name: Mapping[str, tuple[Voxel, ...]], name: str) -> tuple[Voxel, ...]:
    return tuple(voxel for other, on in by_name.items() if other != name for voxel in on)


def _voxels(given: object, name: str) -> tuple[Voxel, ...]:
    if given is None:
        return ()
    try:
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise TypeError("no list")
        return tuple(_voxel(one) for one in given)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} {str(given)[:80]}", expected=_VOXELS, remedy=f"correct it: {error}"
        ) from error


def _voxel(given: Sequence[Any]) -> Voxel:
    i, j, k = (float(value) for value in given)
    if not all(abs(value) < 1e6 for value in (i, j, k)):
        raise ValueError("no voxel index")
    return i, j, k


def _box(given: object) -> tuple[Voxel, Voxel] | None:
    """[i0, i1, j0, j1, k0, k1], or two corners [i, j, k], in any order; both ends are inside.

    3D Slicer sends the six; a rectangle of cornerstone, on which OHIF stands, has corners.
    """
    if not given:
        return None
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) not in (2, 6):
        raise InputError(
            f"roi {str(given)[:80]}",
            expected="[i0, i1, j0, j1, k0, k1] or two corners [i, j, k], voxels of the image",
            remedy="send six numbers, or two corners",
        )
    first, second = _voxels(given if len(given) == 2 else [given[0::2], given[1::2]], "roi")
    return first, second


def _truth(request: Mapping[str, Any], name: str) -> bool:
    """As MONAI Label reads it: bool("false") would be true."""
    given = request.get(name)
    word = "" if given is None else str(given).lower()
    if word not in (*_YES, *_NO):
        raise InputError(f"{name} {given!r}", expected="true or false", remedy="send one of these")
    return word in _YES


def _whole(request: Mapping[str, Any], name: str, default: int | None) -> int | None:
    given = request.get(name)
    if given is None or given == "":
        return default
    try:
        found = int(given)
    except (TypeError, ValueError):
        found = -1
    if found < 0:
        raise InputError(
            f"{name} {given!r}", expected="a whole number, not below 0", remedy="correct it"
        )
    return found


def _names(given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        given = given.split(",")
    if not given:
        return ()
    if not isinstance(given, Sequence):
        raise InputError(
            f"sequences {given!r}", expected="names, as a list or with commas", remedy="send them"
        )
    return tuple(str(name).strip() for name in given if str(name).strip())


def _prior(request: Mapping[str, Any]) -> str:
    prior = str(request.get("prior") or ("text" if request.get(INSTRUCTIONS) else ""))
    if prior and prior not in ("original", "final", "uploaded", "text"):
        raise InputError(
            f"prior {prior!r}",
            expected="original (Zeus's newest answer), final (the submitted label), uploaded, or"
            " text (what the model makes of the instructions)",
            remedy="choose one of these, or PUT a mask to /zeus/clicks/{study}/prior first",
        )
    return prior
