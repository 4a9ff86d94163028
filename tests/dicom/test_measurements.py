from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest

from tests.studies.tiny_files import SAGITTAL, dicom_series
from zeus_app.dicom.diameter import Diameter
from zeus_app.dicom.measurements import LabelMeasurement, measure_labels
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.types import Volume

VALUES = {"gland": 1, "lesion": 2}
DOWNWARDS = ((0, 0, 6), (0, 0, 3), (0, 0, 0))
"""Positions of the files 000.dcm, 001.dcm and 002.dcm: the last is the volume's first slice."""


@pytest.fixture
def series(tmp_path: Path) -> tuple[Path, ...]:
    """Images of 5 columns, 1.5 mm apart, and 4 rows, 2 mm apart; slices 3 mm apart."""
    return tuple(sorted(dicom_series(tmp_path, "T2", positions=DOWNWARDS).iterdir()))


def label_map(series: tuple[Path, ...], *boxes: tuple[int, tuple[slice | int, ...]]) -> Volume:
    grid = DicomSeriesSource(series).grid()
    labels: npt.NDArray[np.uint8] = np.zeros(grid.shape, np.uint8)
    for value, box in boxes:
        labels[box] = value
    return Volume(labels, grid.affine_ras)


GLAND = (1, np.s_[0:4, 1:4, 0:2])  # 4 columns by 3 rows in two slices


def test_a_volume_is_voxels_times_their_size(series: tuple[Path, ...]) -> None:
    gland, _ = measure_labels(label_map(series, GLAND), series, VALUES)
    assert gland.volume_ml == pytest.approx(4 * 3 * 2 * (1.5 * 2 * 3) / 1000)


def test_the_diameter_has_the_spacing_of_the_images(series: tuple[Path, ...]) -> None:
    gland, _ = measure_labels(label_map(series, GLAND), series, VALUES)
    # 4 columns of 1.5 mm and 3 rows of 2 mm: a diagonal of sqrt(36 + 36) mm.
    assert gland.diameter is not None
    assert gland.diameter.length_mm == pytest.approx(72**0.5)
    assert (gland.diameter.start_px, gland.diameter.end_px) == ((0, 1), (4, 4))


def test_the_diameter_lies_in_the_image_of_its_slice(series: tuple[Path, ...]) -> None:
    gland, _ = measure_labels(label_map(series, (1, np.s_[0:2, 0:2, 2])), series, VALUES)
    image = pydicom.dcmread(series[0])  # the file with the highest position
    assert image.ImagePositionPatient[2] == 6
    assert gland.sop_uid == image.SOPInstanceUID


def test_an_empty_label_has_volume_0_and_no_diameter(series: tuple[Path, ...]) -> None:
    _, lesion = measure_labels(label_map(series, GLAND), series, VALUES)
    assert lesion == LabelMeasurement("lesion", 0.0)


def test_the_version_before_is_compared_label_by_label(series: tuple[Path, ...]) -> None:
    before = label_map(series, (1, np.s_[0:4, 1:4, 0:1]))  # half of the gland
    gland, lesion = measure_labels(label_map(series, GLAND), series, VALUES, before=before)
    assert gland.dice_before == pytest.approx(2 * 12 / (24 + 12))
    assert lesion.dice_before == 1.0  # both versions are empty


def test_slices_of_a_sagittal_series_are_measured_in_their_own_plane(tmp_path: Path) -> None:
    positions = [(4.0 * k, 0.0, 0.0) for k in range(3)]
    folder = dicom_series(tmp_path, "T2", orientation=SAGITTAL, positions=positions)
    files = tuple(sorted(folder.iterdir()))
    gland, _ = measure_labels(label_map(files, (1, np.s_[0:2, 0, 1])), files, VALUES)
    # 2 columns of 1.5 mm and 1 row of 2 mm, as the headers say: a diagonal of sqrt(9 + 4) mm.
    assert gland.diameter == Diameter(13**0.5, 1, (0, 0), (2, 1))


def test_a_label_map_on_another_grid_is_refused(series: tuple[Path, ...]) -> None:
    other = Volume(np.zeros((5, 4, 3), np.uint8), np.eye(4))
    with pytest.raises(InputError, match="grid of the DICOM series"):
        measure_labels(other, series, VALUES)
