"""Enhanced multi-frame MR: the elements of each frame, as one image per file has them.

The elements lie in functional groups, for all frames or for each (DICOM PS3.3 C.7.6.16 and
C.8.13.5). Converted
images keep elements that have no group among the unassigned ones; the proper groups win.
"""

from collections.abc import Iterator
from typing import Any

import pydicom

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
LEGACY_CONVERTED_MR = "1.2.840.10008.5.1.4.1.1.4.4"
_MACROS = (
    "UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence",
    "FrameContentSequence", "PixelMeasuresSequence", "PlanePositionSequence",
    "PlaneOrientationSequence", "PixelValueTransformationSequence", "MRImageFrameTypeSequence",
    "MREchoSequence", "MRDiffusionSequence",
)  # fmt: skip
_NAMES = {
    "FrameType": "ImageType",
    "EffectiveEchoTime": "EchoTime",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
}
"""Element of a functional group -> the element of a single-frame image that says the same."""
_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
FRAME_TAGS: list[Any] = [_SHARED, _PER_FRAME, "ContrastBolusAgentSequence"]
"""The elements that `frames_of` reads, besides those of a header."""


def is_enhanced(data: pydicom.Dataset) -> bool:
    """Whether a data set is an enhanced MR image."""
    return str(data.get("SOPClassUID")) in {ENHANCED_MR, LEGACY_CONVERTED_MR}


def frames_of(data: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    """The elements of each frame, in the order of the pixels.

    Raises:
        ValueError: the number of functional groups is not that of the frames.
    """
    groups = data.get(_PER_FRAME) or ()
    frames = int(data.get("NumberOfFrames") or 1)
    if len(groups) != frames:
        raise ValueError(f"{frames} frames with {len(groups)} functional groups")
    shared = _with_agent(data)
    for group in data.get(_SHARED) or ():
        _add_group(shared, group)
    decoded = {element.tag: element for element in shared}  # once, and not for each frame
    for group in groups:
        frame = pydicom.Dataset(dict(decoded))
        _add_group(frame, group)
        yield frame


def _with_agent(data: pydicom.Dataset) -> pydicom.Dataset:
    """The elements outside the groups, with the contrast agent's name if it is coded."""
    shared = pydicom.Dataset(dict(data.items()))  # a data set made of another shares it
    for name in (_SHARED, _PER_FRAME):
        shared.pop(name, None)
    agents = [str(agent.get("CodeMeaning") or "") for agent in data.get(FRAME_TAGS[2]) or ()]
    if any(agents) and not data.get("ContrastBolusAgent"):
        shared.ContrastBolusAgent = " ".join(agents)
    return shared


def _add_group(frame: pydicom.Dataset, group: pydicom.Dataset) -> None:
    for macro in _MACROS:
        for item in (group.get(macro) or ())[:1]:
            frame.update(item)
            for name, other in _NAMES.items():
                if name in item:
                    setattr(frame, other, item[name].value)
