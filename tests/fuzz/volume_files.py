"""Uploads as bytes: volumes, damaged volumes, DICOM and archives."""

import io
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st

from tests.fuzz.itk_files import meta_image, nrrd, odd_meta_images, odd_nrrds, rare_itk_files
from tests.fuzz.nifti_files import nifti, nifti_header, odd_niftis, rare_niftis
from tests.fuzz.voxels import BOMB_BYTES, label_voxels
from tests.studies.tiny_files import dicom_series


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A whole volume of which some bytes are changed, removed or added."""
    whole = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, min(len(whole) - 1, 400)) | st.integers(0, len(whole) - 1))
        match draw(st.sampled_from(["change", "change", "remove", "add"])):
            case "change":
                whole[place] = draw(st.integers(0, 255))
            case "remove":
                del whole[place : place + draw(st.integers(1, 8))]
            case "add":
                whole[place:place] = draw(st.binary(min_size=1, max_size=8))
    return bytes(whole)


def dicom() -> bytes:
    """One slice of a DICOM series of MR images."""
    with TemporaryDirectory() as folder:
        series = dicom_series(Path(folder), "t2_tra")
        return sorted(series.iterdir())[0].read_bytes()


WHOLE = [
    nifti(is_label=True), nifti(is_label=False), bytes(nifti_header()) + label_voxels(), nrrd(),
    meta_image(), dicom(),
]  # fmt: skip


@st.composite
def zips(draw: st.DrawFn, names: st.SearchStrategy[str]) -> bytes:
    """A ZIP of volumes and case lists, with odd names, links and lying sizes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in draw(st.lists(names, max_size=3)):
            entry = zipfile.ZipInfo(name.split("\x00")[0] or "x")
            entry.compress_type = zipfile.ZIP_DEFLATED
            if draw(st.integers(0, 5)) == 0:
                entry.external_attr = 0o120777 << 16  # a symbolic link
                archive.writestr(entry, "/etc/passwd")
            else:
                archive.writestr(entry, draw(st.sampled_from([*WHOLE, case_list(), b""])))
        if draw(st.integers(0, 5)) == 0:
            archive.writestr("bomb_t2.nii", bytes(BOMB_BYTES))
    content = buffer.getvalue()
    return draw(st.sampled_from([content, content, content[:-10], content[:40], b""]))


def case_list() -> bytes:
    return json.dumps([{"id": "x", "sequences": {"T2": "/etc/passwd"}}]).encode()


VOLUMES = st.one_of(
    odd_niftis(), rare_niftis(), rare_niftis(), rare_itk_files(), odd_nrrds(), odd_meta_images(),
    damaged(), st.sampled_from(WHOLE), st.binary(max_size=400),
)  # fmt: skip
