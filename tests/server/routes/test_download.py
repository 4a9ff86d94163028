"""Downloads of a sequence that is not in a NIfTI file of its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
import SimpleITK as sitk

from tests.server import running
from tests.server.conftest import affine, head, save, serving
from tests.studies.tiny_files import dicom_series

OBLIQUE = (1.0, 0.0, 0.0, 0.0, 0.8, -0.6)
ALONG_NORMAL = [(10.0, 20 + 0.6 * 5 * k, -30 + 0.8 * 5 * k) for k in range(4)]
FOUR_D = np.stack([head(1), head(2)], axis=-1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    folder = tmp_path_factory.mktemp("volumes")
    archive = folder / "studies" / "Task01"
    save(archive / "imagesTr" / "case_1.nii.gz", FOUR_D, affine(flip=(-1, 1, 1)))
    modality = {"modality": {"0": "T2", "1": "FLAIR"}}
    (archive / "dataset.json").write_text(json.dumps(modality))
    dicom_series(
        folder / "studies" / "exam" / "t2", "t2", orientation=OBLIQUE, positions=ALONG_NORMAL[::-1]
    )
    yield from serving(folder / "studies", folder / "state")


def download(server: running.Server, image: str, into: Path) -> Path:
    response = requests.get(f"{server.url}/datastore/image", params={"image": image}, timeout=60)
    response.raise_for_status()
    path = into / "downloaded.nii.gz"
    path.write_bytes(response.content)
    return path


@pytest.mark.parametrize(("image", "channel"), [("", 0), ("/T2", 0), ("/FLAIR", 1)])
def test_a_channel_of_a_4_d_file_is_downloaded_as_a_volume(
    server: running.Server, tmp_path: Path, image: str, channel: int
) -> None:
    volume = nib.load(download(server, f"Task01_case_1{image}", tmp_path))
    np.testing.assert_array_equal(np.asarray(volume.dataobj), FOUR_D[..., channel])
    np.testing.assert_allclose(volume.affine, affine(flip=(-1, 1, 1)), atol=1e-5)


def test_a_dicom_series_is_downloaded_at_the_position_that_simpleitk_reads(
    server: running.Server, tmp_path: Path
) -> None:
    (study,) = [
        name
        for name in requests.get(f"{server.url}/zeus/studies", timeout=60).json()["studies"]
        if not name.startswith("Task01")
    ]
    volume = nib.load(download(server, study, tmp_path))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(server.studies / "exam" / "t2")))
    image = reader.Execute()
    for voxel in np.ndindex(*volume.shape):
        ras = volume.affine @ [*voxel, 1]
        there = image.TransformPhysicalPointToIndex((-ras[0], -ras[1], ras[2]))
        assert np.asarray(volume.dataobj)[voxel] == image[there]
