"""DICOM data sets as JSON (DICOM PS3.18, annex F)."""

import math
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.tag import BaseTag

from zeus_app.dicom.content import START_BYTES, has_preamble, is_data_set
from zeus_app.errors import InputError, UnknownNameError

Json = dict[str, dict[str, Any]]
"""Tag, as eight hexadecimal digits -> {"vr": ..., "Value": [...]}."""

BULK_BYTES = 1024
"""A longer binary value has an address of its own instead of standing in the JSON."""
_CHARACTER_SET = "00080005"
_BYTES_OF = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}


def read_data_set(path: Path, *, tags: tuple[str, ...] = (), pixels: bool = False) -> FileDataset:
    """Read a DICOM file.

    Args:
        path: the file.
        tags: keywords of the elements to read; empty for all.
        pixels: whether the pixels are read too.

    Raises:
        UnknownNameError: the file is gone.
        InputError: it is no DICOM file, or it is damaged. The message quotes none of its values.
    """
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
            file.seek(0)
            return dcmread(
                file,
                stop_before_pixels=not pixels,
                specific_tags=list(tags) or None,
                force=is_data_set(start) and not has_preamble(start),
            )
    except FileNotFoundError:
        raise UnknownNameError(
            f"{path} is gone",
            expected="the file that was there when the studies were listed",
            remedy="put the file back, and call GET /zeus/studies?refresh=true",
        ) from None
    except Exception as error:  # pydicom raises exceptions of many types for damaged files
        raise InputError(
            f"{path} cannot be read ({type(error).__name__})",
            expected="a complete DICOM file",
            remedy="copy the file again from its origin",
        ) from None


def to_json(data: Dataset, *, bulk_address: str = "") -> tuple[Json, list[bytes]]:
    """The elements of a data set, without pixels. Elements that JSON cannot represent are left out.

    Args:
        data: the data set.
        bulk_address: address below which long binary values are. Value n is at
            `<bulk_address>/<n>`.

    Returns:
        The JSON, and the long binary values.
    """
    bulk: list[bytes] = []
    return _items(_unambiguous(data), bulk, bulk_address), bulk


def _unambiguous(data: Dataset) -> Dataset:
    """The data set, in which the pixels tell the type of elements that may have either."""
    try:
        return correct_ambiguous_vr(data, data.is_little_endian is not False)
    except Exception:  # of a damaged element; the others are still good
        return data


def _items(data: Dataset, bulk: list[bytes], address: str) -> Json:
    items: Json = {}
    for tag in sorted(data.keys()):
        element = _sound(data, tag, bulk, address)
        if element is not None:
            items[f"{tag:08X}"] = element
    if _CHARACTER_SET in items:
        items[_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is UTF-8
    return items


def _sound(data: Dataset, tag: BaseTag, bulk: list[bytes], address: str) -> dict[str, Any] | None:
    """An element as JSON; None if its value is damaged. The error quotes it, so no log gets it."""
    try:
        return _element(data[tag], bulk, address)
    except Exception:
        return None


def _element(element: DataElement, bulk: list[bytes], address: str) -> dict[str, Any] | None:
    """An element as JSON; None if it holds what JSON cannot say."""
    vr = _BYTES_OF.get(element.VR, element.VR)
    if vr == "SQ":
        return {"vr": vr, "Value": [_items(item, bulk, address) for item in element.value]}
    if isinstance(element.value, bytes) and len(element.value) > BULK_BYTES:
        bulk.append(element.value)
        return {"vr": vr, "BulkDataURI": f"{address}/{len(bulk) - 1}"}
    made = {**element.to_json_dict(None, 0), "vr": vr}
    values = made.get("Value", [])
    if any(isinstance(value, bytes) or not _is_finite(value) for value in values):
        return None
    return made


def _is_finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
