from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.dicom.enhanced_files import Frame, enhanced_mr
from tests.dicom.mr_series import AXIAL, ORIENTATIONS, mr_source
from zeus_app.dicom.report.measurements import LabelMeasurement, measure_labels
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.types import Volume

VALUES = {"gland": 1, "lesion": 2}
GLAND = (1, np.s_[2:6, 1:4, 2:4])
"""4 columns of 0.75 mm, 3 rows of 1.25 mm, and 2 slices of 3 mm."""


@pytest.fixture
def source(tmp_path: Path) -> DicomSeriesSource:
    return mr_source(tmp_path / "t2")


def label_map(source: DicomSeriesSource, *boxes: tuple[int, tuple[slice | int, ...]]) -> Volume:
    grid = source.grid()
    labels: npt.NDArray[np.uint8] = np.zeros(grid.shape, np.uint8)
    for value, box in boxes:
        labels[box] = value
    return Volume(labels, grid.affine_ras)


def measure_gland(
    source: DicomSeriesSource, box: tuple[int, tuple[slice | int, ...]] = GLAND
) -> LabelMeasurement:
    return measure_labels(label_map(source, box), source, VALUES)[0]


def test_a_volume_is_voxels_times_their_size(source: DicomSeriesSource) -> None:
    expected_ml = 4 * 3 * 2 * (0.75 * 1.25 * 3) / 1000
    assert measure_gland(source).volume_ml == pytest.approx(expected_ml)


def test_the_diameter_has_the_spacing_of_the_images(source: DicomSeriesSource) -> None:
    line = measure_gland(source).line
    assert line is not None
    # 4 × 0.75 = 3 mm and 3 × 1.25 = 3.75 mm: a diagonal of sqrt(9 + 14.0625) mm.
    assert line.diameter.length_mm == pytest.approx(23.0625**0.5)
    assert (line.diameter.start_px, line.diameter.end_px) == ((2, 1), (6, 4))


@pytest.mark.parametrize("step_mm", [3.0, -3.0])
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_a_diameter_lies_in_the_image_of_its_slice(
    name: str, step_mm: float, tmp_path: Path
) -> None:
    plan = replace(AXIAL, orientation=ORIENTATIONS[name], step_mm=step_mm)
    source = mr_source(tmp_path / "t2", plan)
    line = measure_gland(source, (1, np.s_[3:5, 2:4, 1])).line
    assert line is not None
    # A volume's slices are in the order of their positions along the normal.
    number = 1 if step_mm > 0 else plan.shape[2] - 2
    assert int(line.plane.image.InstanceNumber) == number + 1


def test_a_diameter_in_a_file_of_many_frames_names_its_frame(tmp_path: Path) -> None:
    positions = [(0, 0, 9), (0, 0, 6), (0, 0, 3), (0, 0, 0)]  # from the head to the feet
    file = enhanced_mr(tmp_path / "t2.dcm", [Frame(position) for position in positions])
    line = measure_gland(DicomSeriesSource((file,)), (1, np.s_[1:3, 1, 1])).line
    assert line is not None
    assert line.plane.frame == 3  # the volume's slice 1 lies at 3 mm; frames count from 1


def test_an_empty_label_has_volume_0_and_no_line(source: DicomSeriesSource) -> None:
    _, lesion = measure_labels(label_map(source, GLAND), source, VALUES)
    assert (lesion.label, lesion.volume_ml, lesion.line) == ("lesion", 0, None)


def test_without_a_version_before_there_is_no_dice(source: DicomSeriesSource) -> None:
    assert measure_gland(source).dice_before is None


def test_the_version_before_is_compared_label_by_label(source: DicomSeriesSource) -> None:
    before = label_map(source, (1, np.s_[2:6, 1:4, 2:3]))  # half of the gland
    gland, lesion = measure_labels(label_map(source, GLAND), source, VALUES, before=before)
    assert gland.dice_before == pytest.approx(2 * 12 / (24 + 12))
    assert lesion.dice_before == 1.0  # both versions are empty


def test_a_label_map_on_another_grid_is_refused(source: DicomSeriesSource) -> None:
    other = Volume(np.zeros((5, 4, 3), np.uint8), np.eye(4))
    with pytest.raises(InputError, match="grid of the mask"):
        measure_labels(other, source, VALUES)


def test_a_version_before_on_another_grid_is_refused(source: DicomSeriesSource) -> None:
    before = Volume(np.zeros((5, 4, 3), np.uint8), np.eye(4))
    with pytest.raises(InputError, match="version before"):
        measure_labels(label_map(source, GLAND), source, VALUES, before=before)
