"""MONAI Label's own endpoint tests, from its wheel, over HTTP against a real server of Zeus.

Their test files run as they are. A client of ours maps names on the way: their models are Zeus's
tasks, their label is the target's, and their clicks move into the tiny studies that are made here.
What does not pass stands in UNSUPPORTED, with the reason; docs/clients.md shows the same.
"""

import json
import sys
import time
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import monailabel
import numpy as np
import pytest
import requests
from requests import Response

from tests.server.conftest import BRIGHT, LESION, SHAPE, affine, head, make_study, save, serving
from tests.server.running import Server

STOCK = Path(monailabel.__file__).parents[1] / "tests" / "unit" / "endpoints"
PACKAGE = "stock_endpoints"
NODULE = "1.3.6.1.4.1.14519.5.2.1.6279.6001.188385286346390202873004762827"
STUDIES = ("spleen_3", "spleen_8", "spleen_9", NODULE)
TASKS = {
    "deepedit": "edit",
    "deepedit_seg": "zeus",
    "deepgrow_pipeline": "clicks_3d",
    "lung_nodule_ct_detection": "zeus",
    "sam_2d": "clicks",
    "sam_3d": "clicks_3d",
    "segmentation_nuclei": "zeus",
    "segmentation_spleen": "zeus",
    "spleen_ct_segmentation": "zeus",
}
CLICK = [10, 11, 3]  # inside the lesion
MOST_SLEEP_S = 0.2

UNSUPPORTED = {
    "test_infer_wsi::test_segmentation_asap": "slides are refused; Zeus segments MRI",
    "test_infer_wsi::test_segmentation_dsa": "slides are refused; Zeus segments MRI",
    "test_infer_wsi::test_segmentation_json": "slides are refused; Zeus segments MRI",
    "test_model::test_download": "no model file; versions are under /zeus/checkpoints",
    "test_model::test_info": "no model file; versions are under /zeus/checkpoints",
    "test_ohif::test_ohif": "expects no OHIF; the wheel ships it, and Zeus serves it",
    "test_scoring::test_epistemic": "Zeus has no epistemic scoring",
    "test_scoring::test_strategy_epistemic": "Zeus has no epistemic strategy",
}
"""Not among them: the four tests of test_dicomwebcache, which mock a client inside the server."""


class MappedClient:
    """Sends the requests of MONAI Label's tests to a server of Zeus, with names mapped."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, **options: Any) -> Response:
        return self._send("GET", path, **options)

    def put(self, path: str, **options: Any) -> Response:
        return self._send("PUT", path, **options)

    def post(self, path: str, **options: Any) -> Response:
        return self._send("POST", path, **options)

    def delete(self, path: str, **options: Any) -> Response:
        return self._send("DELETE", path, **options)

    def _send(self, method: str, path: str, **options: Any) -> Response:
        for stock, task in sorted(TASKS.items(), reverse=True):  # the longer name first
            path = path.replace(f"/{stock}?", f"/{task}?")
        if "model" in (options.get("json") or {}):
            options["json"] = {**options["json"], "model": TASKS[options["json"]["model"]]}
        if "params" in (options.get("data") or {}):
            options["data"] = {"params": _mapped_params(options["data"]["params"])}
        return requests.request(method, self._url + path, timeout=300, **options)


def _mapped_params(text: str) -> str:
    points = {"spleen": "lesion", "foreground": "foreground", "background": "background"}
    params = json.loads(text)
    return json.dumps({points[name]: [CLICK for _ in clicks] for name, clicks in params.items()})


class MappedSuite(unittest.TestCase):
    """What stands for every suite of their context.py."""

    client: MappedClient
    studies: str
    rand_id = 7


def _stock_modules() -> dict[str, ModuleType]:
    """Their test files by name, with their suites and a GPU of ours."""
    context = ModuleType(f"{PACKAGE}.context")
    for kind in ("Endpoint", "EndpointV2", "EndpointV3", "EndpointV4", "DetectionBundle", "Bundle",
                 "BundleV2"):  # fmt: skip
        setattr(context, f"Basic{kind}TestSuite", MappedSuite)
    sys.modules |= {PACKAGE: ModuleType(PACKAGE), context.__name__: context}
    return {
        path.stem: _run_module(path)
        for path in sorted(STOCK.glob("test_*.py"))
        if path.stem != "test_dicomwebcache"
    }


def _run_module(path: Path) -> ModuleType:
    module = ModuleType(f"{PACKAGE}.{path.stem}")
    module.__package__ = PACKAGE
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
    with_gpu = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True))
    short = SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, MOST_SLEEP_S)))
    if path.stem != "test_logs":  # which asks for a GPU's own log
        vars(module).update(torch=with_gpu, is_sam2_module_available=lambda: True)
    if path.stem != "test_session":  # which compares times in whole seconds
        vars(module).update(time=short)
    return module


def _stock_tests() -> list[tuple[str, str, type[MappedSuite]]]:
    """(file, test, suite) of each of their tests."""
    return [
        (file, name, suite)
        for file, module in MODULES.items()
        for suite in vars(module).values()
        if isinstance(suite, type) and issubclass(suite, MappedSuite) and suite is not MappedSuite
        for name in unittest.defaultTestLoader.getTestCaseNames(suite)
    ]


MODULES = _stock_modules()
TESTS = _stock_tests()


@pytest.fixture(scope="module")
def spleen_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with their images, uploaded because their names say no sequence."""
    folder = tmp_path_factory.mktemp("spleen")
    label = np.zeros(SHAPE, np.uint8)
    label[LESION] = 1
    make_study(folder / "studies", "alpha", 10)
    for seed, name in enumerate(STUDIES):
        t2 = head(seed)
        t2[LESION] = BRIGHT
        save(folder / "files" / f"{name}.nii.gz", t2, affine())
        save(folder / "files" / "labels" / "final" / f"{name}.nii.gz", label, affine())
    for server in serving(folder / "studies", folder / "state"):
        for name in STUDIES:
            upload(server, f"image?image={name}", "file", folder / "files" / f"{name}.nii.gz")
        for name in STUDIES[:2]:
            file = folder / "files" / "labels" / "final" / f"{name}.nii.gz"
            upload(server, f"label?image={name}", "label", file)
        yield server


def upload(server: Server, route: str, field: str, path: Path) -> None:
    with path.open("rb") as file:
        requests.put(
            f"{server.url}/datastore/{route}", files={field: (path.name, file)}, timeout=60
        ).raise_for_status()


@pytest.mark.parametrize(("file", "name", "suite"), TESTS, ids=[f"{f}-{n}" for f, n, _ in TESTS])
def test_of_monai_label_passes(
    spleen_server: Server, file: str, name: str, suite: type[MappedSuite]
) -> None:
    suite.client = MappedClient(spleen_server.url)
    suite.studies = str(spleen_server.studies.parent / "files")
    sessions = SimpleNamespace(MONAI_LABEL_SESSION_PATH=str(spleen_server.state / "sessions"))
    vars(MODULES[file]).update(settings=sessions)
    result = unittest.TestResult()
    suite(name).run(result)
    problems = [text for _, text in [*result.errors, *result.failures]]
    expected = f"{file}::{name}" in UNSUPPORTED
    assert bool(problems) == expected, "\n".join(problems) or "passes now; take it out of the list"


def test_every_test_of_the_wheel_is_here() -> None:
    assert len(TESTS) == 58
