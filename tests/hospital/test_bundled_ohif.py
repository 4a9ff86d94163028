"""The OHIF that MONAI Label brings, on studies of a PACS: what a radiologist does in its panel."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK as sitk

from tests.hospital.chromium import SLOW_S, Browser, chromium
from tests.hospital.monai_label_panel import Panel
from tests.hospital.truth import true_label_image
from tests.server import running
from tests.waiting import wait_until
from zeus_app.commands.hospital.sample_dicom import DicomStudy
from zeus_app.targets import load_target

pytestmark = [pytest.mark.browser, pytest.mark.orthanc, pytest.mark.slow]

AXIAL = "(//div[@data-cy='viewport-pane'])[1]"
POINT = """
    const [probe] = cornerstoneTools.annotation.state.getAllAnnotations()
        .filter(one => one.metadata.toolName === "ProbeMONAILabel");
    return probe?.data.handles.points[0];
"""
"""JavaScript: where the user clicked, in LPS mm."""


@pytest.fixture(scope="module")
def own_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for this module, so that the viewer is loaded once."""
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def study(phantoms: list[DicomStudy]) -> DicomStudy:
    return phantoms[3]


@pytest.fixture
def panel(own_browser: Browser, zeus: running.Server, study: DicomStudy) -> Panel:
    """The panel of a study, connected to Zeus."""
    return Panel(own_browser, zeus.url, study.uid)


def test_the_study_list_shows_the_studies_of_the_pacs(
    own_browser: Browser, zeus: running.Server, phantoms: list[DicomStudy]
) -> None:
    own_browser.open(f"{zeus.url}/ohif/")
    for study in phantoms:
        own_browser.wait_for_text(study.name)
    own_browser.keep_picture("bundled-ohif-study-list")


def difference(shown: sitk.Image, truth: sitk.Image) -> int:
    """How many voxels of the truth's grid an image shows otherwise."""
    nearest = sitk.sitkNearestNeighbor
    placed = sitk.Resample(shown, truth, sitk.Transform(), nearest, 255, sitk.sitkUInt8)
    return int(np.count_nonzero(sitk.GetArrayFromImage(placed) != sitk.GetArrayFromImage(truth)))


def numbered(truth: sitk.Image, panel: Panel) -> sitk.Image:
    """A label map of the target with the numbers that OHIF gave the segments."""
    segments, values = panel.segments(), load_target("phantom").label_values
    return sitk.ChangeLabel(truth, {value: segments[name] for name, value in values.items()})


def test_auto_segmentation_draws_the_mask_on_the_right_voxels(
    panel: Panel, study: DicomStudy
) -> None:
    panel.open_tab("Auto-Segmentation")
    request = panel.run_model("Run Segmentation")
    assert request["status"] == 200
    sequence = next(s for s in study.series.values() if s.uid == panel.active_series())
    truth = numbered(true_label_image(study, sequence), panel)
    panel.wait_for_overlay()
    panel.browser.keep_picture("bundled-ohif-auto-segmentation")
    assert panel.overlay().GetSize() == truth.GetSize()
    assert difference(panel.overlay(), truth) == 0


def test_a_click_marks_the_voxel_under_the_mouse_with_its_label(
    panel: Panel, study: DicomStudy
) -> None:
    panel.open_tab("Point Prompts")
    panel.choose_model("clicks_3d")
    panel.choose_label("cyst")
    panel.browser.drag(AXIAL, start=(30, -40), by=(0, 0))
    wait_until(lambda: panel.browser.run(POINT))
    request = panel.run_model("Run PointPrompts")
    assert request["status"] == 200
    panel.wait_for_overlay()
    panel.browser.keep_picture("bundled-ohif-point-prompts")
    overlay = panel.overlay()
    voxel = overlay.TransformPhysicalPointToIndex(panel.browser.run(POINT))
    assert json.loads(request["params"])["foreground"] == [list(voxel)]
    assert np.count_nonzero(sitk.GetArrayFromImage(overlay)) == 1
    assert overlay.GetPixel(voxel) == panel.segments()["cyst"]


def test_a_typed_text_goes_along_and_a_text_without_a_label_is_refused(panel: Panel) -> None:
    panel.open_tab("Auto-Segmentation")
    panel.type_option("zeus", "text", "a round rim")
    assert panel.run_model("Run Segmentation")["status"] == 400
    panel.type_option("zeus", "text", "cyst: a round rim")
    request = panel.run_model("Run Segmentation")
    assert json.loads(request["params"])["text"] == "cyst: a round rim"
    assert request["status"] == 200


def test_next_sample_names_the_series_that_it_opens(
    panel: Panel, zeus: running.Server, phantoms: list[DicomStudy]
) -> None:
    panel.open_tab("Active Learning")
    panel.browser.press("Next Sample")
    panel.browser.wait_for_text("Series Instance UID")
    panel.browser.keep_picture("bundled-ohif-next-sample")
    next_study = next(one for one in phantoms if one.uid in panel.browser.text)
    assert next_study.series["T2"].uid in panel.browser.text
    panel.browser.click("//div[contains(@class, 'nextSampleForm')]//button")
    panel.browser.accept_question()
    uids = {series.uid for series in next_study.series.values()}
    wait_until(lambda: panel.active_series() in uids, timeout_s=SLOW_S)
    assert f"StudyInstanceUIDs={next_study.uid}" in panel.browser.run("return location.href")
