"""Which value of a submitted label map means which label of the target.

Values alone are the target's. A client that names its segments numbers them as it likes: Slicer
exports each with its place in its list, counted from 1, and sends the list as `label_info`,
[{"name": "lesion", "idx": 1}, ...]; a .seg.nrrd says names and values in its header.
"""

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from zeus_app.errors import InputError
from zeus_app.labels.files import extension_of
from zeus_app.targets import Target
from zeus_app.types import Volume

LABEL_INFO = "label_info"
_VALUE = re.compile(r"Segment(\d+)_LabelValue")


def in_values_of(target: Target, label: Volume, path: Path, told: object) -> Volume:
    """Give a label map the target's values.

    Args:
        target: whose labels the segments' names are.
        label: as stored in the file.
        path: the file.
        told: the client's `label_info`; None or empty where it sent none.

    Raises:
        InputError: `told` is no such list, or voxels are of a segment that is no label.
    """
    names = _of_header(path) or (_of_list(told) if told else {})
    if not names:
        return label
    values = target.label_values
    translated = np.zeros_like(label.array)
    for value in np.unique(label.array[label.array != 0]).tolist():
        if names.get(value) not in values:
            raise InputError(
                f"a label with voxels of {_segment(value, names)}",
                expected=f"segments named {', '.join(values)}",
                remedy="rename or delete the segment and submit again; nothing was kept",
            )
        translated[label.array == value] = values[names[value]]
    return Volume(translated, label.affine_ras)


def _segment(value: float, names: dict[float, str]) -> str:
    return f"segment {names[value]!r}" if value in names else f"value {value:g}, that of no segment"


def _of_header(path: Path) -> dict[float, str]:
    """Value -> name, as a .seg.nrrd says; nothing for other files."""
    if extension_of(path.name) != ".seg.nrrd":
        return {}
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    said = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    numbers = [match[1] for key in said if (match := _VALUE.fullmatch(key))]
    return {
        float(said[f"Segment{number}_LabelValue"]): said.get(f"Segment{number}_Name", "")
        for number in numbers
    }


def _of_list(told: object) -> dict[float, str]:
    """Value -> name, as the client's list says: `idx`, else the place in the list from 1."""
    names: dict[float, str] = {}
    for place, one in enumerate(told if isinstance(told, list) else [told], start=1):
        name, idx = (one.get("name"), one.get("idx", place)) if isinstance(one, dict) else ("", 0)
        if not name or not isinstance(name, str) or not isinstance(idx, int):
            raise InputError(
                f"{LABEL_INFO} {told!r}",
                expected='the segments, such as [{"name": "lesion", "idx": 1}]',
                remedy="name every segment, or leave label_info out",
            )
        names[idx] = name
    return names
