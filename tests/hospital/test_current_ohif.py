"""The current OHIF, which knows nothing of Zeus, on what Zeus stores in a PACS."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import requests
import SimpleITK as sitk
from pydicom.dataset import Dataset
from scipy.spatial.distance import pdist

from tests.hospital.chromium import SLOW_S, Browser
from tests.hospital.pacs import segmentations, store
from tests.hospital.truth import true_slices
from tests.server.running import Server
from tests.waiting import wait_until
from zeus_app.commands.hospital.orthanc import Orthanc
from zeus_app.commands.hospital.sample_dicom import DicomStudy
from zeus_app.dicom.report.measurements import measure_labels
from zeus_app.dicom.report.writing import write_report
from zeus_app.dicom.segmentation.matching import to_label_map
from zeus_app.dicom.segmentation.reading import read_segmentation
from zeus_app.dicom.segmentation.writing import Authorship, write_segmentation
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.targets import load_target
from zeus_app.types import FloatArray, LabelArray, Volume

pytestmark = [pytest.mark.browser, pytest.mark.orthanc, pytest.mark.slow]

THUMBNAIL = "//*[starts-with(@data-cy, 'study-browser-thumbnail')][contains(., '{modality}')]"
MEASUREMENTS = """
    return services.measurementService.getMeasurements()
        .map(one => [one.label, one.displayText.primary[0], one.points]);
"""
"""JavaScript: name, text, and both ends in LPS mm, of each measurement."""


def open_segmentation(browser: Browser) -> None:
    """Open the segmentation of the open study, as a user does."""
    browser.double_click(THUMBNAIL.format(modality="SEG"))
    browser.press("Yes")  # OHIF asks whether to open the segmentation
    wait_until(browser.segment_names, timeout_s=SLOW_S)


def open_study(browser: Browser, url: str, study: DicomStudy) -> None:
    """Open a study in the basic viewer, and close OHIF's tour of its buttons."""
    browser.open(f"{url}/viewer?StudyInstanceUIDs={study.uid}")
    browser.press("Skip all")


def as_volume(slices: Mapping[str, LabelArray]) -> LabelArray:
    """(columns, rows, slices) from SOP Instance UID -> (rows, columns), from the feet on."""
    return np.ascontiguousarray(np.stack([*slices.values()]).transpose(2, 1, 0))


def segment(study: DicomStudy) -> tuple[Volume, DicomSeriesSource, Dataset]:
    """The phantom's true mask, its T2 series, and the SEG that Zeus makes of both."""
    reference = DicomSeriesSource(study.series["T2"].files)
    truth = true_slices(study, study.series["T2"])
    label_map = Volume(as_volume(truth), reference.load().affine_ras)
    segmentation = write_segmentation(
        label_map,
        target=load_target("phantom"),
        reference=reference,
        authorship=Authorship("AUTOMATIC", "v0001"),
    )
    return label_map, reference, segmentation


def test_the_study_list_shows_the_studies(
    browser: Browser, current_ohif: str, phantoms: list[DicomStudy]
) -> None:
    browser.open(current_ohif)
    for study in phantoms:
        browser.wait_for_text(study.name)


def test_a_segmentation_of_zeus_shows_its_labels_on_the_right_voxels(
    browser: Browser,
    pacs: Orthanc,
    current_ohif: str,
    phantoms: list[DicomStudy],
    tmp_path: Path,
) -> None:
    study = phantoms[0]
    _, _, segmentation = segment(study)
    store(pacs, segmentation, tmp_path)
    open_study(browser, current_ohif, study)
    open_segmentation(browser)
    assert browser.segment_names() == [["lesion", "cyst"]]
    browser.keep_picture("current-ohif-segmentation")
    shown = browser.segment_voxels()
    truth = true_slices(study, study.series["T2"])
    assert shown.keys() == truth.keys()
    assert [uid for uid in truth if not np.array_equal(shown[uid], truth[uid])] == []
    assert np.bincount(np.concatenate([*shown.values()]).ravel())[1:].min() > 100


def corners_mm(label_map: Volume, value: int, slice_index: int) -> FloatArray:
    """(N, 3) LPS mm: the corners of all pixels of a label in a slice."""
    pixels = np.argwhere(label_map.array[:, :, slice_index] == value)
    shifts = np.array([(x, y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)])
    corners = np.unique((pixels[:, None] + shifts).reshape(-1, 2), axis=0)
    index = np.column_stack([corners, np.full(len(corners), slice_index), np.ones(len(corners))])
    return np.asarray((index @ label_map.affine_ras.T)[:, :3] * (-1, -1, 1))


def test_the_diameters_in_a_report_of_zeus_are_drawn_at_the_corners_of_their_labels(
    browser: Browser,
    pacs: Orthanc,
    current_ohif: str,
    phantoms: list[DicomStudy],
    tmp_path: Path,
) -> None:
    study = phantoms[1]
    label_map, reference, segmentation = segment(study)
    values = load_target("phantom").label_values
    measurements = measure_labels(label_map, reference, values)
    store(pacs, write_report(measurements, segmentation=segmentation), tmp_path)
    open_study(browser, current_ohif, study)
    browser.double_click(THUMBNAIL.format(modality="SR"))
    browser.press("Yes")  # OHIF asks whether to take the measurements over
    wait_until(lambda: len(browser.run(MEASUREMENTS)) == len(values), timeout_s=SLOW_S)
    shown = browser.run(MEASUREMENTS)
    for (label, text, ends), (name, value) in zip(shown, values.items(), strict=True):
        corners = [corners_mm(label_map, value, k) for k in range(label_map.array.shape[2])]
        longest = max(float(pdist(some).max()) for some in corners if len(some))
        assert label.startswith(name)
        assert text == f"{longest:.1f} mm"
        assert np.isclose(np.concatenate(corners)[:, None], ends, atol=1e-3).all(-1).any(0).all()
    wait_until(lambda: shown[0][1] in browser.drawings, timeout_s=SLOW_S)
    browser.keep_picture("current-ohif-report")


def export_segmentation(browser: Browser) -> None:
    """Store the shown segmentation in the PACS by OHIF's menu."""
    browser.click("//*[@data-cy='segmentation-collapsed-more-btn-Labelmap']")
    browser.move_to("//*[@role='menuitem'][contains(., 'Export')]")
    browser.choose("//*[@role='menuitem'][contains(., 'DICOM SEG')]")
    browser.press("Save")


def exported(pacs: Orthanc, study: DicomStudy) -> list[Dataset]:
    """The segmentations of a study in the PACS that OHIF made."""
    return [data for data in segmentations(pacs, study.uid) if data.Manufacturer != "Zeus"]


def final_label(zeus: Server, study: DicomStudy, folder: Path) -> sitk.Image | None:
    """The final label of a study, as a client downloads it; None before there is one."""
    requests.get(f"{zeus.url}/zeus/segmentations", timeout=60)  # makes Zeus look into the PACS
    answer = requests.get(
        f"{zeus.url}/datastore/label", params={"label": study.uid, "tag": "final"}, timeout=60
    )
    (folder / "label.nii.gz").write_bytes(answer.content)
    return sitk.ReadImage(str(folder / "label.nii.gz")) if answer.ok else None


def test_what_a_user_paints_and_exports_is_the_final_label_voxel_for_voxel(
    browser: Browser,
    pacs: Orthanc,
    zeus: Server,
    current_ohif: str,
    phantoms: list[DicomStudy],
    tmp_path: Path,
) -> None:
    study = phantoms[2]
    label_map, reference, segmentation = segment(study)
    store(pacs, segmentation, tmp_path)
    browser.open(f"{current_ohif}/segmentation?StudyInstanceUIDs={study.uid}")
    open_segmentation(browser)
    wait_until(lambda: np.array_equal(painted(browser, study), label_map.array))
    browser.click("//*[@data-cy='Brush-btn']")
    browser.drag("//*[@data-cy='viewport-pane']", start=(60, -60), by=(20, 10))
    wait_until(lambda: np.any(painted(browser, study) != label_map.array))
    mask = painted(browser, study)
    export_segmentation(browser)
    wait_until(lambda: exported(pacs, study), timeout_s=SLOW_S)
    (data,) = exported(pacs, study)
    segments = read_segmentation(data, reference.grid())
    assert {segment.algorithm_type for segment in segments} == {"MANUAL"}
    assert np.array_equal(to_label_map(segments, load_target("phantom")).label_map, mask)
    wait_until(lambda: final_label(zeus, study, tmp_path), timeout_s=SLOW_S, poll_s=1)
    label = final_label(zeus, study, tmp_path)
    assert label is not None
    assert np.array_equal(on_series(label, study), mask)


def on_series(label: sitk.Image, study: DicomStudy) -> LabelArray:
    """(columns, rows, slices) a label on the grid that SimpleITK reads of T2."""
    image = sitk.ReadImage([str(file) for file in study.series["T2"].files])
    nearest = sitk.sitkNearestNeighbor
    placed = sitk.Resample(label, image, sitk.Transform(), nearest, 255, sitk.sitkUInt8)
    return np.asarray(sitk.GetArrayFromImage(placed)).transpose(2, 1, 0)


def painted(browser: Browser, study: DicomStudy) -> LabelArray:
    """(columns, rows, slices) what OHIF shows."""
    shown = browser.segment_voxels()
    return as_volume({uid: shown[uid] for uid in true_slices(study, study.series["T2"])})
