"""MONAI Label's panel in the OHIF that its package brings, as a user works with it."""

import base64
from typing import Any

import numpy as np
import SimpleITK as sitk

from tests.hospital.chromium import SLOW_S, Browser
from tests.waiting import wait_until

PANEL = "//div[contains(@class, 'monaiLabelPanel')]"
POINT_TAB = "//div[@class='tab'][.//input[@value='pointprompts']]"
DRAWN = """
    const engines = cornerstone.getRenderingEngines() ?? [];
    const views = engines.flatMap(engine => engine.getViewports());
    return views.length > 0 && views.every(view => view.viewportStatus === "rendered");
"""
"""JavaScript: whether every viewport shows its image."""
RECORD = """
    window.requests = [];
    const {open, send} = XMLHttpRequest.prototype;
    XMLHttpRequest.prototype.open = function (method, url, ...rest) {
        this.address = url;
        return open.call(this, method, url, ...rest);
    };
    XMLHttpRequest.prototype.send = function (body) {
        const params = body instanceof FormData ? body.get("params") : null;
        const request = {url: this.address, params, status: 0};
        window.requests.push(request);
        this.addEventListener("loadend", () => { request.status = this.status; });
        return send.call(this, body);
    };
"""
"""JavaScript: record the requests of the page, with their `params` and the answer's status."""
OVERLAY = """
    const {dimensions, spacing, origin, direction, voxelManager} =
        services.segmentationService.getLabelmapVolume("1");
    const bytes = Uint8Array.from(voxelManager.getCompleteScalarDataArray());
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return {dimensions: [...dimensions], spacing: [...spacing], origin: [...origin],
            direction: [...direction], voxels: btoa(text)};
"""
"""JavaScript: the segment numbers that OHIF draws, and where they lie, in LPS mm."""
SEGMENTS = """
    return Object.values(services.segmentationService.getSegmentations()[0].segments)
        .map(segment => [segment.label, segment.segmentIndex]);
"""
ACTIVE_SERIES = """
    const {viewports, activeViewportId} = services.viewportGridService.getState();
    const [shown] = viewports.get(activeViewportId).displaySetInstanceUIDs;
    return services.displaySetService.getDisplaySetByUID(shown).SeriesInstanceUID;
"""
"""JavaScript: Series Instance UID of what the active viewport shows."""


class Panel:
    """The panel of an open study. Its server is the one that the page comes from.

    Args:
        browser: the browser.
        url: address of Zeus.
        study_uid: StudyInstanceUID.
    """

    def __init__(self, browser: Browser, url: str, study_uid: str) -> None:
        self.browser = browser
        browser.open(f"{url}/ohif/monai-label?StudyInstanceUIDs={study_uid}")
        browser.run(RECORD)
        self.wait_until_shown()
        browser.press_if_there("Confirm and Hide")  # OHIF's notice of investigational use
        browser.click(f"{PANEL}//button[contains(@class, 'actionButton')]")
        browser.wait_for_text("Auto-Segmentation")

    def wait_until_shown(self) -> None:
        """Return when the viewer shows an image."""
        self.browser.wait_for_text("MONAI Label")
        wait_until(self.active_series, timeout_s=SLOW_S)
        wait_until(lambda: self.browser.run(DRAWN), timeout_s=SLOW_S)

    def active_series(self) -> str:
        """Series Instance UID of the series in the active viewport; empty before it is there."""
        return str(self.browser.run(f"try {{ {ACTIVE_SERIES} }} catch {{ return ''; }}"))

    def open_tab(self, words: str) -> None:
        """Open a tab of the panel."""
        self.browser.click(f"{PANEL}//label[normalize-space()='{words}']")

    def choose_model(self, name: str) -> None:
        """Choose a model of the tab of point prompts."""
        self.browser.click(f"{PANEL}{POINT_TAB}//option[@value='{name}']")

    def choose_label(self, name: str) -> None:
        """Choose the label of the next clicks."""
        self.browser.click(f"{PANEL}{POINT_TAB}//tr[td[normalize-space()='{name}']]")

    def type_option(self, model: str, key: str, text: str) -> None:
        """Type into a field of the dialog of options."""
        self.browser.click(f"{PANEL}//a[normalize-space()='Options / Configurations']")
        self.browser.click("//select[@name='selectSection']/option[@value='infer']")
        self.browser.click(f"//select[@name='selectName']/option[@value='{model}']")
        self.browser.type_into(f"//input[@id='infer{model}{key}']", text)
        self.browser.press("Confirm")

    def run_model(self, title: str) -> dict[str, Any]:
        """Press Run, and return the request that the panel sent, when it is answered."""
        before = len(self.inferences())
        self.browser.click(f"{PANEL}//button[@title='{title}']")
        wait_until(lambda: len(self.inferences()) > before, timeout_s=SLOW_S)
        return self.inferences()[-1]

    def inferences(self) -> list[dict[str, Any]]:
        """The answered requests for an inference."""
        requests: list[dict[str, Any]] = self.browser.run("return window.requests")
        return [one for one in requests if "/infer/" in one["url"] and one["status"]]

    def wait_for_overlay(self) -> None:
        """Return when OHIF draws a voxel."""
        wait_until(lambda: sitk.GetArrayFromImage(self.overlay()).any(), timeout_s=SLOW_S)

    def segments(self) -> dict[str, int]:
        """Label -> number of its segment."""
        return dict(self.browser.run(SEGMENTS))

    def overlay(self) -> sitk.Image:
        """The segment numbers that OHIF draws, as an image in LPS mm."""
        shown = self.browser.run(OVERLAY)
        voxels = np.frombuffer(base64.b64decode(shown["voxels"]), np.uint8)
        image = sitk.GetImageFromArray(voxels.reshape(shown["dimensions"][::-1]))
        image.SetSpacing(shown["spacing"])
        image.SetOrigin(shown["origin"])
        # Cornerstone lists the axes one after the other; SimpleITK reads the matrix row by row.
        image.SetDirection(np.reshape(shown["direction"], (3, 3)).T.ravel().tolist())
        return image
