"""Small examinations for a PACS, what SimpleITK reads of them, and a server of that PACS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import requests
import SimpleITK as sitk
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset

from tests.dicom.other_programs import itk_series
from tests.server import running
from tests.server.running import free_port
from zeus_app.commands.hospital.orthanc import Orthanc
from zeus_app.commands.hospital.sample_dicom import DicomStudy, write_dicom_study

SHAPES = {"T2": (24, 20, 6), "FLAIR": (12, 10, 6)}
SPACINGS_MM = {"T2": (1.0, 1.25, 3.0), "FLAIR": (2.0, 2.5, 3.0)}
LESION, CYST = np.s_[8:12, 9:13, 2:4], np.s_[15:19, 3:5, 1:3]
LESION_VOXELS, CYST_VOXELS = 4 * 4 * 2, 4 * 2 * 2
BRIGHT, HALF_BRIGHT, DARK = 1000, 700, 500
NAMES = {1: "lesion", 2: "cyst"}
REQUEST_S = 120


def write_examination(folder: Path, name: str, seed: int) -> DicomStudy:
    """T2 with a bright lesion and a cyst of half the brightness; FLAIR of half the resolution."""
    rng, files = np.random.default_rng(seed), {}
    folder.mkdir(parents=True, exist_ok=True)
    for sequence, shape in SHAPES.items():
        values = rng.integers(300, DARK, shape)
        if sequence == "T2":
            values[LESION], values[CYST] = BRIGHT, HALF_BRIGHT
        files[sequence] = folder / f"{name}-{sequence}.nii"
        affine = np.diag([*SPACINGS_MM[sequence], 1.0])
        affine[:3, 3] = -10, -12, 5
        nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), affine), files[sequence])
    return write_dicom_study(files, folder / name, name=name)


def series_folder(study: DicomStudy, sequence: str) -> Path:
    """Where the files of a sequence lie."""
    return study.series[sequence].files[0].parent


def true_labels(study: DicomStudy) -> sitk.Image:
    """Lesion 1 and cyst 2, on the grid that SimpleITK reads of T2."""
    image = itk_series(series_folder(study, "T2"))
    return sitk.Cast(image > (BRIGHT + HALF_BRIGHT) / 2, sitk.sitkUInt8) + 2 * sitk.Cast(
        sitk.And(image > (HALF_BRIGHT + DARK) / 2, image < (BRIGHT + HALF_BRIGHT) / 2),
        sitk.sitkUInt8,
    )


@contextmanager
def started_orthanc(folder: Path, *studies: DicomStudy) -> Iterator[Orthanc]:
    """An Orthanc of a test module alone, with some studies."""
    with Orthanc(folder, port=free_port()) as pacs:
        for study in studies:
            pacs.upload(study.files)
        yield pacs


@contextmanager
def started_zeus(pacs: Orthanc, state: Path, **conf: str) -> Iterator[running.Server]:
    """A server with the fake model whose studies are in a PACS. It must still run at the end."""
    server = running.start(pacs.dicomweb_url, state, {"target": "phantom", **conf})
    try:
        yield server
        assert not running.has_ended(server), server.log_text()[-4000:]
    finally:
        running.stop(server)


def ask(server: running.Server, method: str, path: str, **options: Any) -> requests.Response:
    """The answer to a request, whatever its status."""
    return requests.request(method, f"{server.url}{path}", timeout=REQUEST_S, **options)


def get_json(server: running.Server, path: str, **params: str) -> Any:
    """The JSON that a path answers."""
    answer = ask(server, "GET", path, params=params)
    assert answer.ok, answer.text
    return answer.json()


def downloaded(server: running.Server, image: str, folder: Path) -> sitk.Image:
    """An image as a client downloads it, read by SimpleITK."""
    answer = ask(server, "GET", "/datastore/image", params={"image": image})
    assert answer.ok, answer.text
    path = folder / "downloaded.nii.gz"
    path.write_bytes(answer.content)
    return sitk.ReadImage(str(path))


def assert_same_image(image: sitk.Image, expected: sitk.Image) -> None:
    """Same grid and same voxels."""
    assert_same_grid(image, expected)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))


def assert_same_grid(image: sitk.Image, expected: sitk.Image) -> None:
    """Same size, and every voxel at the same place within 0.001 mm."""
    assert image.GetSize() == expected.GetSize()
    corners = np.array(np.meshgrid(*([0, size - 1] for size in image.GetSize()))).reshape(3, -1).T
    for corner in corners.tolist():
        np.testing.assert_allclose(
            image.TransformIndexToPhysicalPoint(corner),
            expected.TransformIndexToPhysicalPoint(corner),
            atol=1e-3,
        )


def web_of(pacs: Orthanc) -> DICOMwebClient:
    """A client of the PACS that is not Zeus's."""
    return DICOMwebClient(pacs.dicomweb_url, headers={"Accept": "application/dicom+json"})


def store(pacs: Orthanc, data: Dataset) -> None:
    """Store an object by STOW-RS."""
    answer = web_of(pacs).store_instances([data], str(data.StudyInstanceUID))
    assert not answer.get("FailedSOPSequence"), answer


def objects_of(pacs: Orthanc, study_uid: str, modality: str) -> list[Dataset]:
    """The objects of a modality, such as SEG, that the PACS has of a study."""
    web = web_of(pacs)
    found = web.search_for_series(study_uid, search_filters={"Modality": modality})
    uids = [Dataset.from_json(item).SeriesInstanceUID for item in found]
    return [data for uid in uids for data in web.retrieve_series(study_uid, uid)]


def delete_series(pacs: Orthanc, series_uid: str) -> None:
    """Remove a series from the PACS, by Orthanc's own way."""
    found = requests.post(f"{pacs.url}/tools/lookup", data=series_uid, timeout=REQUEST_S).json()
    (path,) = (entry["Path"] for entry in found if entry["Type"] == "Series")
    requests.delete(f"{pacs.url}{path}", timeout=REQUEST_S).raise_for_status()
