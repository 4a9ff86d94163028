"""Translate the segments of a submitted label map into the target's label values.

A label map without segment names must use the target's values. A client that names its segments
numbers them freely: 3D Slicer numbers each by its position in its list, counted from 1. It sends
the list as `label_info`, [{"name": "lesion", "idx": 1}, ...]; with scribbles the value is called
`id`. A .seg.nrrd file stores names and values in its header.
"""

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from zeus_app.errors import InputError
from zeus_app.targets import Target
from zeus_app.types import Volume

LABEL_INFO = "label_info"
DRAFT_SEGMENT = "draft"
"""Name of a segment that marks a label as a draft (`labels/drafts.py`)."""
_VALUE = re.compile(r"Segment(\d+)_LabelValue")


def with_target_values(label: Volume, path: Path, *, target: Target, label_info: object) -> Volume:
    """Replace the values of a label map's segments by the target's values.

    Args:
        label: the label map as stored in the file.
        path: the file. The header of a .seg.nrrd wins over `label_info`.
        target: the labels that segments may be named after.
        label_info: the client's list of segments; None or empty if it sent none.

    Raises:
        InputError: `label_info` is not such a list, or a segment's name is no label of the target.
    """
    names = segment_names(path, label_info)
    if not names:
        return label
    values = target.label_values
    translated = np.zeros_like(label.array)
    for value in np.unique(label.array[label.array != 0]).tolist():
        if names.get(value) not in values:
            _refuse_voxels_of_the_mark(value, names)
            raise InputError(
                f"a label with voxels of {_segment(value, names)}",
                expected=f"segments named {', '.join(values)}",
                remedy=f"rename the segment, for example to {next(iter(values))!r}, or delete it,"
                " and submit again; nothing was saved",
            )
        translated[label.array == value] = values[names[value]]
    return Volume(translated, label.affine_ras)


def _refuse_voxels_of_the_mark(value: float, names: dict[float, str]) -> None:
    """Say that the segment "draft" only marks a draft, if the voxels are its. Raises InputError."""
    if names.get(value, "").strip().casefold() == DRAFT_SEGMENT:
        raise InputError(
            f"a draft with voxels of {_segment(value, names)}",
            expected=f"an empty segment {DRAFT_SEGMENT!r}, which only marks the label as a draft",
            remedy="erase this segment's voxels, or move them into another segment, and submit"
            " again; nothing was saved",
        )


def names_of_segments(path: Path, label_info: object) -> set[str]:
    """The names of all segments, empty ones too, in the header and in the client's list.

    Raises:
        InputError: `label_info` is no list of segments.
    """
    listed = _names_in_list(label_info) if label_info else {}
    return {*_names_in_header(path).values(), *listed.values()}


def segment_names(path: Path, label_info: object) -> dict[float, str]:
    """Value -> segment name, as a .seg.nrrd or else the client's list says; empty if none does.

    Raises:
        InputError: `label_info` is no list of segments.
    """
    return _names_in_header(path) or (_names_in_list(label_info) if label_info else {})


def _segment(value: float, names: dict[float, str]) -> str:
    return f"segment {names[value]!r}" if value in names else f"value {value:g}, of no segment"


def _names_in_header(path: Path) -> dict[float, str]:
    """Value -> segment name of a .seg.nrrd; empty for other files."""
    if not path.name.lower().endswith(".seg.nrrd"):
        return {}
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO")  # by itself, ITK goes by a file's content
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    header = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    numbers = [match[1] for key in header if (match := _VALUE.fullmatch(key))]
    return {
        float(header[f"Segment{number}_LabelValue"]): header.get(f"Segment{number}_Name", "")
        for number in numbers
    }


def _names_in_list(label_info: object) -> dict[float, str]:
    """Value -> segment name: `idx` or `id`; without them, the position in the list from 1."""
    segments = label_info if isinstance(label_info, list) else [label_info]
    names: dict[float, str] = {}
    for position, segment in enumerate(segments, start=1):
        fields = segment if isinstance(segment, dict) else {}
        name, value = fields.get("name"), fields.get("idx", fields.get("id", position))
        is_flag = isinstance(value, bool)  # which Python counts among the whole numbers
        if not name or not isinstance(name, str) or not isinstance(value, int) or is_flag:
            raise InputError(
                f"{LABEL_INFO} {label_info!r}",
                expected='a list of segments, for example [{"name": "lesion", "idx": 1}]',
                remedy="send a name for every segment, or leave label_info out",
            )
        names[value] = name
    return names
