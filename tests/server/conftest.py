"""A real server over a real socket, on tiny studies made here, with a fake model behind it."""

import os
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import SimpleITK as sitk
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.studies.tiny_files import dicom_series
from zeus_app.types import Affine, FloatArray, LabelArray

SHAPE = (24, 20, 6)
SPACING_MM = (1.0, 1.0, 3.0)
BRIGHT = 900.0  # T2 inside the lesion; outside it stays below 400
LESION = np.s_[8:12, 9:13, 2:4]
TALL_SHAPE = (24, 20, 16)
TALL_LESION = np.s_[8:12, 9:13, 5:11]


def head(seed: int, shape: tuple[int, ...] = SHAPE) -> FloatArray:
    """Noise on an ellipsoid, background 0."""
    rng = np.random.default_rng(seed)
    axes = [np.linspace(-1, 1, n) for n in shape]
    inside = np.square(np.meshgrid(*axes, indexing="ij")).sum(axis=0) < 0.9
    return np.where(inside, rng.uniform(200, 400, shape), 0).astype(np.float32)


def affine(spacing: tuple[float, ...] = SPACING_MM, flip: tuple[int, ...] = (1, 1, 1)) -> Affine:
    matrix = np.diag([*(s * f for s, f in zip(spacing, flip, strict=True)), 1.0])
    matrix[:3, 3] = [-10, -12, 5]
    return matrix


def save(path: Path, array: npt.NDArray[np.generic], matrix: Affine) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, matrix), path)
    return path


def make_study(folder: Path, name: str, seed: int, flip: tuple[int, ...] = (1, 1, 1)) -> None:
    """T2 with a bright lesion; FLAIR of half the resolution in plane."""
    t2 = head(seed)
    t2[LESION] = BRIGHT
    save(folder / name / f"{name}_t2.nii.gz", t2, affine(flip=flip))
    flair = head(seed + 100, (12, 10, 6))
    save(folder / name / f"{name}_flair.nii.gz", flair, affine((2.0, 2.0, 3.0), flip))


def make_tall_study(folder: Path, name: str, seed: int) -> None:
    """T2 of sixteen slices. A quick check holds back some of them; `make_study` has too few."""
    t2 = head(seed, TALL_SHAPE)
    t2[TALL_LESION] = BRIGHT
    save(folder / name / f"{name}_t2.nii.gz", t2, affine())


def tall_lesion() -> LabelArray:
    label = np.zeros(TALL_SHAPE, np.uint8)
    label[TALL_LESION] = 1
    return label


def make_bad_studies(folder: Path) -> None:
    nan = head(1)
    nan[3, 3, 3] = np.nan
    save(folder / "nan" / "nan_t2.nii.gz", nan, affine())
    save(folder / "constant" / "constant_t2.nii.gz", np.full(SHAPE, 7, np.float32), affine())
    save(folder / "fived" / "fived_t2.nii.gz", np.ones((4, 4, 4, 1, 3), np.float32), affine())
    image = save(folder / "truncated" / "truncated_t2.nii.gz", head(2), affine())
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    save(folder / "line" / "line_t2.nii.gz", np.ones(24, np.float32), affine())
    dicom = dicom_series(folder / "aaa_still" / "t2", "t2_tra")  # comes first in the list
    for path in dicom.iterdir():
        data = pydicom.dcmread(path)
        data.PixelData = bytes(len(data.PixelData))
        pydicom.dcmwrite(path, data, write_like_original=False)
    channels = np.stack([head(1), nan], axis=-1)  # a Decathlon archive; FLAIR holds NaN
    save(folder / "msd" / "imagesTr" / "case.nii.gz", channels, affine())
    (folder / "msd" / "dataset.json").write_text('{"modality": {"0": "T2", "1": "FLAIR"}}')
    nrrd = folder / "odd" / "odd_t2.nrrd"  # ITK would end the server at its folder's name
    nrrd.parent.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(head(5).T), nrrd)
    nrrd.parent.rename(folder / os.fsdecode(b"M\xfcller"))
    away = affine()
    away[:3, 3] += 5000
    save(folder / "apart" / "apart_t2.nii.gz", head(3), affine())
    save(folder / "apart" / "apart_flair.nii.gz", head(4), away)


def lesion_file(path: Path, flip: tuple[int, ...] = (1, 1, 1), value: int = 1) -> Path:
    label = np.zeros(SHAPE, np.uint8)
    label[LESION] = value
    return save(path, label, affine(flip=flip))


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "studies"
    make_study(folder, "alpha", 10)
    make_study(folder, "bravo", 11, flip=(-1, -1, 1))
    make_study(folder, "charlie", 12)
    make_study(folder, "slow", 13)
    make_bad_studies(folder)
    return folder


@pytest.fixture(scope="session")
def server(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """One server for all modules that train nothing."""
    yield from serving(studies, tmp_path_factory.mktemp("state"))


def serving(studies: Path, state: Path) -> Iterator[running.Server]:
    """A server that must still run at the end."""
    started = running.start(studies, state, {"target": "phantom"})
    yield started
    ended = started.process.poll()
    running.stop(started)
    assert ended is None, started.log_text()[-4000:]


@pytest.fixture
def client(server: running.Server, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(server.url, tmpdir=str(tmp_path))
