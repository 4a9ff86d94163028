"""Drafts: labels that are saved to go on with them later.

A draft is a label with the tag "draft". It is no final label: trainings do not learn from it, and
the study stays unlabelled. A final label ends it; its versions stay and can be restored.

3D Slicer sends no tag with its button Submit Label. There a segment called "draft" marks the label
as a draft. The segment holds no voxels, because it is no label of the target.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeus_app.labels.segments import DRAFT_SEGMENT, names_of_segments
from zeus_app.labels.versions import FINAL, LabelHistory
from zeus_app.reporting.answer import names_in
from zeus_app.targets import Target
from zeus_app.types import Volume

DRAFT = "draft"
"""The tag of drafts."""


def tag_of(path: Path, label_info: object, *, target: Target) -> str:
    """The tag of a label that came without one: "draft" with a segment of this name, else "final".

    Args:
        path: the label file; a .seg.nrrd names its segments.
        label_info: the client's list of segments; None if it sent none.
        target: may have a label called "draft", which then marks nothing.

    Raises:
        InputError: `label_info` is no list of segments.
    """
    names = {name.strip().casefold() for name in names_of_segments(path, label_info)}
    is_marked = DRAFT_SEGMENT in names and DRAFT_SEGMENT not in target.label_names
    return DRAFT if is_marked else FINAL


def save_version(
    history: LabelHistory,
    study: str,
    tag: str,
    *,
    label: Volume,
    info: Mapping[str, Any],
    target: Target,
) -> None:
    """Add a version of a label. A final label ends the study's draft.

    A draft's info tells the labels that it holds, as that of a prediction does. 3D Slicer reads
    them before it shows the draft.

    Args:
        history: the labels.
        study: the study's id.
        tag: the label's tag.
        label: uint8 label map with the target's values, checked.
        info: what the client sent with it.
        target: the labels.
    """
    if tag == DRAFT:
        names = names_in(label.array, target.label_values)
        info = {**info, "params": {**info.get("params", {}), "label_names": names}}
    history.save(study, tag, label, info)
    if tag == FINAL and history.newest(study, DRAFT):
        history.remove(study, DRAFT)
