"""The truth of a CHAOS sequence: one PNG for each DICOM image, with a grey value for each organ.

Order: a PNG has the name of its DICOM image (IMG-0004-00002.png, IMG-0004-00002.dcm). Where no
name is the same, the sorted names stand in the order of Instance Number. Rows and columns of a PNG
are those of the DICOM image, without a flip. CHAOS documents neither. No CHAOS case in its own
layout was at hand: the rule was taken from the names, and `fit.py` measures on a user's copy
whether another order fits the images better.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from zeus_app.dicom.series import SliceHeader, read_header
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.dicom.stacking import stack_slices
from zeus_app.errors import InputError
from zeus_app.targets import Target
from zeus_app.types import Grid, Volume
from zeus_app.volumes.formats import check_regular
from zeus_app.volumes.nifti import read_guarded

GREYS = {
    "liver": range(55, 71),
    "right kidney": range(110, 136),
    "left kidney": range(175, 201),
    "spleen": range(240, 256),
}
"""Organ -> the grey values that CHAOS names for it; its own are 63, 126, 189 and 252."""
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True, eq=False)
class PngTruth:
    """The PNG files of one sequence.

    Attributes:
        dicom: the DICOM files of the sequence.
        named_after: the DICOM files whose names the PNG files have: those of one phase for both
            phases of T1-DUAL, which lie on one grid.
        masks: the PNG files.
        target: its labels among `GREYS` are read; the others become background.
    """

    dicom: tuple[Path, ...]
    named_after: tuple[Path, ...]
    masks: tuple[Path, ...]
    target: Target

    @property
    def files(self) -> tuple[Path, ...]:
        """The PNG files."""
        return self.masks

    @property
    def values(self) -> Mapping[int, int]:
        """Grey value -> value of the organ; 0 for organs that the target lacks."""
        known = self.target.label_values
        return {grey: known.get(organ, 0) for organ, greys in GREYS.items() for grey in greys}

    def grid(self) -> Grid:
        """The grid of the sequence."""
        return DicomSeriesSource(self.dicom).grid()

    def stored(self) -> Volume:
        """The grey values on the sequence's grid, (columns, rows, slices) uint8."""
        stacking = stack_slices([read_header(path) for path in self.named_after])
        grid = self.grid()
        masks = _by_image(stacking.headers, self.masks)
        pictures = [
            _grey(masks[header.path], (grid.shape[1], grid.shape[0])) for header in stacking.headers
        ]
        if len(pictures) != grid.shape[2]:
            raise InputError(
                f"{self.masks[0].parent}: {len(pictures)} PNG files for {grid.shape[2]} images",
                expected="one PNG file for each DICOM image",
                remedy="unpack the archive of CHAOS again",
            )
        return Volume(np.stack(pictures).transpose(2, 1, 0), grid.affine_ras)


def _by_image(images: Sequence[SliceHeader], masks: Sequence[Path]) -> dict[Path, Path]:
    """DICOM file -> its PNG file.

    Raises:
        InputError: some images have no PNG file, or some PNG files no image.
    """
    by_stem = {mask.stem: mask for mask in masks}
    stems = {image.path.stem for image in images}
    if stems == by_stem.keys():
        return {image.path: by_stem[image.path.stem] for image in images}
    if len(images) == len(masks) and not stems & by_stem.keys():
        ordered = sorted(images, key=_instance)
        paths = [image.path for image in ordered]
        return dict(zip(paths, sorted(masks, key=_natural), strict=True))
    lacking = sorted(stems ^ by_stem.keys())
    raise InputError(
        f"{masks[0].parent}: {len(masks)} PNG files for {len(images)} DICOM images; without a"
        f" partner: {', '.join(lacking[:5])}",
        expected="one PNG file for each DICOM image, of the same name",
        remedy="unpack the archive of CHAOS again",
    )


def _instance(image: SliceHeader) -> int:
    """Instance Number.

    Raises:
        InputError: the header has none.
    """
    if not image.number.lstrip("-").isdecimal():
        raise InputError(
            f"{image.path} without Instance Number",
            expected="DICOM images with the names of the PNG files, or with Instance Numbers",
            remedy="unpack the archive of CHAOS again",
        )
    return int(image.number)


def _natural(path: Path) -> list[str | int]:
    """A key that sorts numbers in names by value: slice_9 before slice_10."""
    return [int(part) if part.isdecimal() else part for part in _NUMBERS.split(path.stem)]


def _grey(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The grey values of a PNG, (rows, columns).

    Raises:
        InputError: the file is damaged, has another size than the image, or more than 8 bits.
    """

    def read() -> tuple[str, npt.NDArray[np.uint8]]:
        check_regular(path)
        with Image.open(path, formats=("PNG",)) as picture:
            return picture.mode, np.asarray(picture.convert("L"), np.uint8)

    mode: str
    array: npt.NDArray[np.uint8]
    mode, array = read_guarded(read, path)
    if mode not in ("L", "P", "RGB", "RGBA") or array.shape != shape:
        raise InputError(
            f"{path}: a {mode} picture of {array.shape[1]}×{array.shape[0]} pixels",
            expected=f"8 bits of grey and the size of the DICOM image, {shape[1]}×{shape[0]}",
            remedy="unpack the archive of CHAOS again",
        )
    return array
