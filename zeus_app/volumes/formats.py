"""Formats told by content, and formats that Zeus does not read.

Suffixes lie: gzip files are called .nii, and plain ones .nii.gz.
"""

from pathlib import Path
from typing import BinaryIO

from zeus_app.errors import InputError

_PACKERS = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "Zstandard",
    b"PK\x03\x04": "ZIP", b"7z\xbc\xaf": "7-Zip",
}  # fmt: skip
_CONVERT = "convert it to NIfTI, for example with"
_PAIR = f"a NIfTI or Analyze image of two files; {_CONVERT} nib-convert image.hdr image.nii.gz"
_SURFACE = "points on a surface, no volume; Zeus needs the volume that it was made from"
_PACKED = "a packed file; unpack it, or pack the image as .nii.gz"
_NO_PLACE = "voxels without a place in space; save them with their affine as NIfTI"
_UNREAD = {
    (".img", ".hdr", ".img.gz", ".hdr.gz"): _PAIR,
    (".mnc", ".mnc2", ".mnc.gz"): f"MINC; {_CONVERT} mnc2nii",
    (".par", ".rec"): f"Philips PAR/REC; {_CONVERT} dcm2niix",
    (".head", ".brik", ".brik.gz"): f"AFNI; {_CONVERT} 3dAFNItoNIFTI",
    (".mif", ".mif.gz", ".mih"): f"MRtrix; {_CONVERT} mrconvert",
    (".gipl", ".gipl.gz"): f"GIPL; {_CONVERT} ITK-SNAP's c3d",
    (".vtk", ".vti"): f"VTK; {_CONVERT} 3D Slicer",
    (".tif", ".tiff"): "TIFF, which has no place in space; export the image as DICOM or NIfTI",
    (".npy", ".npz", ".mat", ".h5", ".hdf5"): _NO_PLACE,
    (".gii", ".gii.gz", ".pial", ".white", ".inflated"): _SURFACE,
    (".dcm.gz", ".ima.gz", ".nrrd.gz", ".mha.gz"): _PACKED,
    (".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".tar", ".tar.gz", ".tgz"): _PACKED,
}  # fmt: skip
_REASONS = {suffix: reason for suffixes, reason in _UNREAD.items() for suffix in suffixes}
_SECOND_FILES = {".img": ".hdr", ".img.gz": ".hdr.gz", ".rec": ".par", ".brik": ".head"}
"""Suffix of the file with the voxels -> suffix of the file with the header."""


def unread_format(path: Path) -> str | None:
    """Why Zeus does not read an image of this format, and what to do; None for other files.

    Goes by the name alone. DICOM files may have any name, so ask `is_dicom` first. Of an image of
    two files, the one with the header is told.
    """
    name = path.name.lower()
    suffixes = (name[start:] for start, letter in enumerate(name) if letter == "." and start)
    suffix = next((suffix for suffix in suffixes if suffix in _REASONS), None)
    if suffix is None or name.startswith("."):
        return None
    if suffix in _SECOND_FILES and _has_sibling(path, suffix, _SECOND_FILES[suffix]):
        return None
    return _REASONS[suffix]


def _has_sibling(path: Path, suffix: str, other: str) -> bool:
    stem = path.name[: -len(suffix)]
    return any(path.with_name(stem + case).exists() for case in (other, other.upper()))


def is_gzip(path: Path) -> bool:
    """Whether a file's content is packed with gzip, whatever its name is.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return packer_of(file) == "gzip"


def packer_of(file: BinaryIO) -> str:
    """The program that packed a file, told by its first bytes; empty if none did."""
    start = file.read(8)
    return next((name for magic, name in _PACKERS.items() if start.startswith(magic)), "")


def wrong_name(path: Path, packer: str) -> InputError:
    """The error for a packed file whose name does not say so."""
    return InputError(
        f"{path} is a {packer} file, and its name does not say so",
        expected="an image file named after its content",
        remedy=f"rename it after {packer}, unpack it, and give the image its own suffix",
    )


def check_regular(path: Path) -> None:
    """Refuse a pipe or a device, which may never end. A file that is gone is told when opened."""
    if path.exists() and not path.is_file():
        raise InputError(
            f"{path}, no regular file",
            expected="a file",
            remedy="copy the file itself into the studies folder, or remove it",
        )
