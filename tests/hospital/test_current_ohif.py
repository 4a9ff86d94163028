"""The current OHIF, which knows nothing of Zeus, on what Zeus stores in a PACS."""

from pathlib import Path

import numpy as np
import pytest

from tests.hospital.chromium import SLOW_S, Browser
from tests.hospital.truth import true_label_map, true_slices
from tests.waiting import wait_until
from zeus_app.commands.hospital.orthanc import Orthanc
from zeus_app.commands.hospital.sample_dicom import DicomStudy
from zeus_app.dicom.segmentation import Authorship, write_segmentation
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.targets import load_target
from zeus_app.types import Volume

pytestmark = [pytest.mark.browser, pytest.mark.orthanc, pytest.mark.slow]

SEG_THUMBNAIL = "//*[starts-with(@data-cy, 'study-browser-thumbnail')][contains(., 'SEG')]"


def open_study(browser: Browser, url: str, study: DicomStudy) -> None:
    """Open a study in the basic viewer, and close OHIF's tour of its buttons."""
    browser.open(f"{url}/viewer?StudyInstanceUIDs={study.uid}")
    browser.press("Skip all")


def store_segmentation(pacs: Orthanc, study: DicomStudy, folder: Path) -> None:
    """Store the phantom's true mask as Zeus stores its masks."""
    reference, other = (DicomSeriesSource(study.series[name].files) for name in ("T2", "FLAIR"))
    truth = true_label_map(study, study.series["T2"]).transpose(2, 1, 0)
    segmentation = write_segmentation(
        Volume(np.ascontiguousarray(truth), reference.load().affine_ras),
        target=load_target("phantom"),
        reference=reference,
        others=[other],
        authorship=Authorship("AUTOMATIC", "v0001"),
    )
    segmentation.save_as(folder / "seg.dcm", write_like_original=False)
    pacs.upload([folder / "seg.dcm"])


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
    store_segmentation(pacs, study, tmp_path)
    open_study(browser, current_ohif, study)
    browser.double_click(SEG_THUMBNAIL)
    browser.press("Yes")  # OHIF asks whether to open the segmentation
    wait_until(browser.segment_names, timeout_s=SLOW_S)
    assert browser.segment_names() == [["lesion", "cyst"]]
    browser.keep_picture("current-ohif-segmentation")
    shown = browser.segment_voxels()
    truth = true_slices(study, study.series["T2"])
    assert shown.keys() == truth.keys()
    assert [uid for uid in truth if not np.array_equal(shown[uid], truth[uid])] == []
    assert np.bincount(np.concatenate([*shown.values()]).ravel())[1:].min() > 100
