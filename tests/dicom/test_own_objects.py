"""Objects of Zeus are told from those of other programs."""

from pathlib import Path

import pydicom
import pytest

from tests.dicom.mr_series import AXIAL, FOUR_LABELS, label_map_of, mr_source
from tests.dicom.other_programs import itk_series, segmentation_by_dcmqi
from zeus_app.dicom.own_objects import is_own
from zeus_app.dicom.report.measurements import measure_labels
from zeus_app.dicom.report.writing import write_report
from zeus_app.dicom.segmentation.writing import Authorship, write_segmentation


def test_a_seg_and_an_sr_of_zeus_are_its_own_and_the_image_is_not(tmp_path: Path) -> None:
    source = mr_source(tmp_path / "t2", AXIAL)
    label_map = label_map_of(source)
    segmentation = write_segmentation(
        label_map, target=FOUR_LABELS, reference=source, authorship=Authorship("MANUAL")
    )
    measured = measure_labels(label_map, source, FOUR_LABELS.label_values)
    assert is_own(segmentation)
    assert is_own(write_report(measured, segmentation=segmentation))
    assert not is_own(pydicom.dcmread(source.paths[0]))


def test_a_seg_of_another_program_is_not_zeus_s_own(tmp_path: Path) -> None:
    mr_source(tmp_path / "t2", AXIAL)
    image = itk_series(tmp_path / "t2") // 100
    names = {value: f"mark {value}" for value in FOUR_LABELS.label_values.values()}
    seg = segmentation_by_dcmqi(image, names, tmp_path / "t2", tmp_path / "seg.dcm")
    assert not is_own(pydicom.dcmread(seg))


@pytest.mark.parametrize("name", ["Manufacturer", "ManufacturerModelName", "SoftwareVersions"])
def test_a_seg_that_another_program_wrote_anew_is_not_zeus_s_own(name: str) -> None:
    data = pydicom.Dataset()
    data.Manufacturer = data.ManufacturerModelName = "Zeus"
    data.SoftwareVersions = "0.3.0"
    assert is_own(data)
    data[name].value = "" if name == "SoftwareVersions" else "dcmjs"
    assert not is_own(data)
