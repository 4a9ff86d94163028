"""Which DICOM objects are MR images. The others are no sequences, whatever their modality says."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from pydicom.uid import UID

from zeus_app.dicom.enhanced import ENHANCED_MR, LEGACY_CONVERTED_MR
from zeus_app.dicom.series import SliceHeader

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
_MR_CLASSES = frozenset({MR_IMAGE, ENHANCED_MR, LEGACY_CONVERTED_MR, ""})
"""SOP Class UIDs (DICOM PS3.4 B.5). Old files without one are told by their modality alone."""


def is_mr_image(header: SliceHeader) -> bool:
    """Whether an object holds slices of MR images."""
    return header.modality in {"MR", ""} and header.sop_class in _MR_CLASSES


def others(headers: Iterable[SliceHeader]) -> dict[str, tuple[Path, ...]]:
    """What the other objects are, for users -> their files."""
    found: dict[str, list[Path]] = defaultdict(list)
    for header in headers:
        if not is_mr_image(header):
            found[_what(header)].append(header.path)
    return {
        f"{len(paths)} {'file' if len(paths) == 1 else 'files'} of {what}, no MR images": tuple(
            dict.fromkeys(paths)
        )
        for what, paths in found.items()
    }


def _what(header: SliceHeader) -> str:
    """The modality, and the name of the SOP class if the modality does not tell it."""
    modality = f"modality {header.modality}" if header.modality else "no modality"
    name = UID(header.sop_class).name.removesuffix(" Storage")
    return f"{modality} ({name})" if header.sop_class not in _MR_CLASSES else modality
