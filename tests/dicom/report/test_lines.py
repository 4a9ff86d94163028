from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.dicom.mr_series import AXIAL, ORIENTATIONS, Plan, mr_source
from zeus_app.dicom.planes import read_planes
from zeus_app.dicom.report.diameter import Diameter
from zeus_app.dicom.report.lines import line_item, text_position_item
from zeus_app.dicom.report.measurements import MeasuredLine

DIAMETER = Diameter(5.0, 0, (2.0, 1.0), (6.0, 4.0))
SQUARE = replace(AXIAL, spacing_mm=(1.0, 1.0005))


def line(folder: Path, plan: Plan) -> MeasuredLine:
    """The diameter in the image of the series' first file."""
    return MeasuredLine(DIAMETER, read_planes(mr_source(folder, plan))[0])


def test_with_square_pixels_the_line_lies_in_its_image(tmp_path: Path) -> None:
    measured = line(tmp_path / "t2", SQUARE)
    item = line_item(measured)
    [image] = item.ContentSequence
    assert (item.ValueType, item.GraphicType) == ("SCOORD", "POLYLINE")
    assert list(item.GraphicData) == [2, 1, 6, 4]  # column, row; (0, 0) is the outer corner
    assert image.referenced_sop_instance_uid == measured.plane.image.SOPInstanceUID
    assert "ReferencedFrameNumber" not in image.ReferencedSOPSequence[0]


def test_a_line_in_a_file_of_many_frames_names_its_frame(tmp_path: Path) -> None:
    measured = line(tmp_path / "t2", SQUARE)
    plane = replace(measured.plane, frame=7)
    plane.image.NumberOfFrames = 9
    [image] = line_item(replace(measured, plane=plane)).ContentSequence
    assert image.ReferencedSOPSequence[0].ReferencedFrameNumber == 7


@pytest.mark.parametrize("ends", [((2.0, 1.0), (6.0, 4.0)), ((6.0, 4.0), (2.0, 1.0))])
def test_the_text_stands_at_the_right_end_of_the_line(
    ends: tuple[tuple[float, float], tuple[float, float]], tmp_path: Path
) -> None:
    measured = replace(line(tmp_path / "t2", SQUARE), diameter=Diameter(5.0, 0, *ends))
    item = text_position_item(measured)
    assert (item.ValueType, item.GraphicType) == ("SCOORD", "POINT")
    assert list(item.GraphicData) == [6, 4]


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_with_oblong_pixels_the_line_lies_where_simpleitk_has_it(name: str, tmp_path: Path) -> None:
    plan = replace(AXIAL, orientation=ORIENTATIONS[name])
    measured = line(tmp_path / "t2", plan)
    item = line_item(measured)
    assert item.ReferencedFrameOfReferenceUID == plan.frame_of_reference
    uid = measured.plane.image.SOPInstanceUID
    [path] = [p for p in (tmp_path / "t2").iterdir() if sop_uid(p) == uid]
    image = sitk.ReadImage(str(path))
    # In ITK's continuous index, the outer corner of the first pixel is (-0.5, -0.5).
    ends = [image.TransformContinuousIndexToPhysicalPoint((c - 0.5, r - 0.5, 0.0))
            for c, r in (DIAMETER.start_px, DIAMETER.end_px)]  # fmt: skip
    np.testing.assert_allclose(np.reshape(item.GraphicData, (2, 3)), ends, atol=1e-4)
    np.testing.assert_allclose(text_position_item(measured).GraphicData, ends[1], atol=1e-4)


def sop_uid(path: Path) -> str:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return str(reader.GetMetaData("0008|0018")).strip("\0 ")
