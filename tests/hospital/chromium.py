"""Chromium without a window, and what a user of OHIF does in it."""

import base64
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from selenium.common.exceptions import ElementClickInterceptedException as Covered
from selenium.common.exceptions import StaleElementReferenceException as Redrawn
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import alert_is_present
from selenium.webdriver.support.wait import WebDriverWait

from tests.waiting import wait_until
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.types import LabelArray

PICTURES = CHECKOUT / "reports" / "hospital-test"
"""Screenshots of phantoms, one for each test, kept for whoever wants to see."""
FLAGS = (
    "--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-proxy-server", "--window-size=1400,900",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
SLOW_S = 120  # two busy cores draw OHIF's first picture in up to 30 s

VOXELS = """
    const {imageIds} = services.segmentationService.getSegmentations()[0]
        .representationData.Labelmap;
    return imageIds.map(id => {
        const image = cornerstone.cache.getImage(id);
        const slice = cornerstone.metaData.get("instance", image.referencedImageId);
        const bytes = Uint8Array.from(image.getPixelData());
        return [slice.SOPInstanceUID, [image.rows, image.columns],
                btoa(String.fromCharCode(...bytes))];
    });
"""
"""JavaScript: SOP Instance UID, shape and voxels of each slice of the shown segmentation."""


@contextmanager
def chromium(profile: Path) -> Iterator["Browser"]:
    """Start Chromium, which reaches this machine alone."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(SLOW_S)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """A page of OHIF, by what a user sees and does."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Open a page."""
        self.driver.get(url)

    def run(self, script: str, *arguments: object) -> Any:
        """What JavaScript returns in the open page."""
        return self.driver.execute_script(script, *arguments)

    @property
    def text(self) -> str:
        """What the open page shows."""
        return str(self.run("return document.body.innerText"))

    @property
    def drawings(self) -> str:
        """The SVG that OHIF draws over the images."""
        layers = "[...document.querySelectorAll('svg.svg-layer')].map(layer => layer.innerHTML)"
        return str(self.run(f"return {layers}.join('')"))

    def wait_for_text(self, text: str) -> None:
        """Return when the page shows the text."""
        wait_until(lambda: text in self.text, timeout_s=SLOW_S)

    def find(self, xpath: str) -> list[WebElement]:
        """The elements that an XPath names."""
        return self.driver.find_elements(By.XPATH, xpath)

    def press(self, words: str) -> None:
        """Click on the button with these words, when it is there."""
        self._when_there(f"//button[normalize-space()='{words}']", lambda button: button.click())

    def press_if_there(self, words: str) -> None:
        """Click on the button with these words, if it is there now."""
        if self.find(f"//button[normalize-space()='{words}']"):
            self.press(words)

    def click(self, xpath: str) -> None:
        """Click on an element, when it is there."""
        self._when_there(xpath, lambda one: one.click())

    def choose(self, xpath: str) -> None:
        """Choose an item of an open menu, when it is there, without the mouse.

        A submenu closes when the mouse leaves it on its way.
        """
        self._when_there(xpath, lambda one: self.run("arguments[0].click()", one))

    def type_into(self, xpath: str, text: str) -> None:
        """Replace the text of a field."""

        def act(field: WebElement) -> None:
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(text)

        self._when_there(xpath, act)

    def accept_question(self) -> None:
        """Answer a question of the page itself with OK."""
        alert = WebDriverWait(self.driver, SLOW_S).until(alert_is_present())
        alert.accept()

    def move_to(self, xpath: str) -> None:
        """Move the mouse to an element, when it is there."""
        self._when_there(
            xpath, lambda one: ActionChains(self.driver).move_to_element(one).perform()
        )

    def drag(self, xpath: str, *, start: tuple[int, int], by: tuple[int, int]) -> None:
        """Drag the mouse with its button held, from a point relative to an element's middle."""

        def act(one: WebElement) -> None:
            actions = ActionChains(self.driver).move_to_element_with_offset(one, *start)
            actions.click_and_hold().move_by_offset(*by).release().perform()

        self._when_there(xpath, act)

    def double_click(self, xpath: str) -> None:
        """Double-click on an element, when it is there."""
        self._when_there(xpath, lambda one: ActionChains(self.driver).double_click(one).perform())

    def _when_there(self, xpath: str, act: Any) -> None:
        """Act on the first element of an XPath, as soon as it is there and nothing covers it."""

        def done() -> bool:
            try:
                for element in self.find(xpath)[:1]:
                    act(element)
                    return True
            except (Covered, Redrawn):
                pass
            return False

        wait_until(done, timeout_s=SLOW_S, poll_s=0.2)

    def segment_names(self) -> list[list[str]]:
        """The names of the segments of each shown segmentation, in the order of their numbers."""
        names: list[list[str]] = self.run(
            "return services.segmentationService.getSegmentations()"
            ".map(one => Object.values(one.segments).map(segment => segment.label))"
        )
        return names

    def segment_voxels(self) -> Mapping[str, LabelArray]:
        """SOP Instance UID -> (rows, columns) segment numbers, of the first shown segmentation."""
        return {
            uid: np.frombuffer(base64.b64decode(data), np.uint8).reshape(shape)
            for uid, shape, data in self.run(VOXELS)
        }

    def keep_picture(self, name: str) -> None:
        """Keep a screenshot."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(PICTURES / f"{name}.png"))
