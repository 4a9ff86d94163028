"""Which DICOM objects Zeus wrote: they are never learnt from, and never taken for new labels."""

from pydicom.dataset import Dataset

from zeus_app.dicom.segmentation.writing import MANUFACTURER

_NAMES = ("Manufacturer", "ManufacturerModelName")


def is_own(data: Dataset) -> bool:
    """Whether a Zeus wrote an object: a SEG or an SR, on this server or on another one.

    A program that changes a SEG of Zeus and writes it again puts its own name there.

    Args:
        data: the object or its header; in a list of a PACS, these elements may be missing.
    """
    is_named = all(str(data.get(name) or "").strip() == MANUFACTURER for name in _NAMES)
    return is_named and bool(data.get("SoftwareVersions"))
