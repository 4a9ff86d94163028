"""Parameters, forms, bodies and addresses that no client should send, to every route with any."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.broken_forms import broken_forms
from tests.fuzz.cases import CASES, try_cases
from tests.fuzz.nifti_files import nifti
from tests.fuzz.odd_values import ODD_HEADERS, ODD_TEXTS_IN_URLS, json_texts, queries
from tests.fuzz.target import Target
from zeus_app.server.tasks.parameters import BATCH, DROPPED, INFERENCE, TRAINING, click_parameters
from zeus_app.targets import load_target

SHARE = 0.2  # of all cases
CLICKS = [*click_parameters(load_target("phantom"))]
CLICK = {"label": "lesion", "foreground": [[9, 10, 3]]}
NOTES = ["instructions", "strategy", "path", "name", "checksum", "ts", "params", "user"]


@dataclass(frozen=True)
class Route:
    """A route that takes JSON.

    Attributes:
        method: of HTTP.
        path: with a query, if any.
        names: names of parameters that mean something to it.
        valid: parameters that the route accepts; odd ones join them.
        form: the field of a form that holds the JSON; empty if it is the body.
        file: the field of a form that holds a label, if any.
    """

    method: str
    path: str
    names: list[str]
    valid: Mapping[str, object] = field(default_factory=dict)
    form: str = ""
    file: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def files(self) -> dict[str, tuple[str, bytes]] | None:
        return {self.file: ("x_t2.nii.gz", nifti(is_label=True))} if self.file else None


ROUTES = (
    Route("PUT", "/datastore/image/info?image=alpha", NOTES, form="info"),
    Route("PUT", "/datastore/label/info?label=alpha&tag=final", NOTES, form="info"),
    Route("PUT", "/datastore/updatelabelinfo?label=bravo&tag=final", NOTES, form="params"),
    Route("PUT", "/datastore/label?image=alpha", [*NOTES, "label_info"], form="params",
          file="label"),
    Route("PUT", "/datastore/image?image=charlie", NOTES, form="params", file="file"),
    Route("POST", "/infer/zeus?image=alpha", [*INFERENCE], form="params"),
    *(Route("POST", f"/infer/{model}?image=alpha", CLICKS, CLICK, form="params")
      for model in ("clicks", "clicks_3d")),
    Route("POST", "/infer/edit?image=alpha", CLICKS, {"lesion": [[9, 10, 3]]}, form="params"),
    Route("POST", "/train/", [*TRAINING, "zeus", "model"], {"epochs": 1}),
    Route("POST", "/train/zeus", [*TRAINING, *DROPPED], {"epochs": 1}),
    Route("POST", "/train/zeus?run_sync=true", [*TRAINING], {"epochs": 1}),
    Route("POST", "/batch/infer/zeus", [*BATCH, *INFERENCE, *DROPPED]),
    Route("POST", "/batch/infer/clicks", [*BATCH, *CLICKS], {"max_workers": 1}),
    Route("POST", "/scoring/", [*DROPPED, "bundle_path"]),
    Route("POST", "/scoring/dice", [*DROPPED, "bundle_path"]),
    Route("POST", "/activelearning/first", ["label_tag", "client_id"]),
    Route("POST", "/activelearning/random", ["label_tag", "client_id"]),
)  # fmt: skip

ADDRESSES: dict[str, dict[str, list[str]]] = {
    "GET /zeus/studies": {"refresh": ["true"]},
    "POST /zeus/studies/{}/prepare": {"slices": ["1,2", "-1", "99999"]},
    "DELETE /zeus/infer/{}": {},
    "GET /zeus/labels/{}": {"tag": ["final"]},
    "POST /zeus/labels/{}/restore": {"version": ["1", "v0001"], "tag": ["final"]},
    "GET /zeus/originals/{}": {},
    "GET /zeus/originals/{}/mask": {"sequence": ["T2"]},
    "POST /zeus/checkpoints/{}/serve": {},
    "GET /zeus/clicks/{}": {"user": ["anonymous"]},
    "GET /train/": {"all": ["true"], "check_if_running": ["true"]},
    "GET /logs/": {"lines": ["0", "-5", "1e9"], "html": ["true"], "text": ["true"]},
    "GET /datastore/": {"output": ["all", "train"]},
    "GET /datastore/image": {"image": ["alpha", "alpha/FLAIR"]},
    "HEAD /datastore/image": {"image": ["alpha"], "check_sum": ["MD5:x", "SHA512:", "FOO:x"]},
    "GET /datastore/label": {"label": ["alpha"], "tag": ["final"]},
    "GET /datastore/label/info": {"label": ["alpha"], "tag": ["final"]},
    "DELETE /datastore/label": {"id": ["charlie"], "tag": ["final"]},
    "DELETE /datastore/image": {"id": ["alpha"]},
    "GET /session/{}": {"image": ["true"], "update_ts": ["true"]},
    "DELETE /session/{}": {},
    "GET /model/{}": {},
    "GET /model/info/{}": {},
    "GET /ohif/{}": {},
    "GET /proxy/dicom/{}": {},
    "GET /static/{}": {},
    "GET /{}": {},
}
"""Method and path, where {} is a name -> parameters of the query with known values."""
DOWNLOAD: tuple[str, str, dict[str, bytes]] = ("GET", "/datastore/image", {"image": b"alpha"})


TAKES_A_FORM = ("PUT /datastore/image?image=made", "PUT /datastore/label?image=charlie",
                "PUT /session/", "PUT /session/?uncompress=true", "POST /infer/zeus?image=charlie",
                "PUT /zeus/clicks/charlie/scribbles", "PUT /datastore/image/info?image=charlie",
                "POST /train/zeus", "PUT /model/zeus", "POST /infer/wsi_v2/zeus")  # fmt: skip


@st.composite
def forms(draw: st.DrawFn) -> tuple[Route, bytes]:
    route = draw(st.sampled_from(ROUTES))
    return route, draw(json_texts(route.names, route.valid))


@st.composite
def addresses(draw: st.DrawFn) -> tuple[str, str, dict[str, bytes]]:
    place = draw(st.sampled_from(sorted(ADDRESSES)))
    method, path = place.split(" ")
    known = st.sampled_from([b"alpha", b"..", b".", b"../../x", b"%2e%2e", b"a%00"])
    name = draw(st.just(b"alpha") | known | ODD_TEXTS_IN_URLS)
    return method, path.replace("{}", quote(name, safe="%/")), draw(queries(ADDRESSES[place]))


def send(target: Target, route: Route, text: bytes) -> requests.Response:
    data = {route.form: text} if route.form else text
    return target.send(route.method, route.path, data=data, files=route.files)


@pytest.mark.slow
@pytest.mark.parametrize("route", [route for route in ROUTES if route.valid], ids=str)
def test_what_odd_parameters_join_is_valid(target: Target, route: Route) -> None:
    answer = send(target, route, json.dumps(route.valid).encode())
    assert answer.status_code in (200, 429), answer.text  # 429: the last task still runs


@pytest.mark.slow
@pytest.mark.timeout(1800)
@try_cases(round(CASES * SHARE / 3))
@given(case=forms())
def test_odd_json_gets_a_result_or_a_reason(target: Target, case: tuple[Route, bytes]) -> None:
    send(target, *case)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@try_cases(round(CASES * SHARE / 3))
@example(case=DOWNLOAD, headers={"Range": "bytes=a-b"})
@example(case=DOWNLOAD, headers={"Range": "bytes=99999999999-"})
@given(case=addresses(), headers=st.just({}) | ODD_HEADERS)
def test_odd_addresses_get_a_result_or_a_reason(
    target: Target, case: tuple[str, str, dict[str, bytes]], headers: dict[str, str]
) -> None:
    method, path, query = case
    target.send(method, path, query=query, headers=headers)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@try_cases(round(CASES * SHARE / 3))
@given(place=st.sampled_from(TAKES_A_FORM), form=broken_forms())
def test_a_broken_form_gets_a_result_or_a_reason(
    target: Target, place: str, form: tuple[str, bytes]
) -> None:
    method, path = place.split(" ")
    content_type, body = form
    target.send(method, path, data=body, headers={"Content-Type": content_type})


@pytest.mark.slow
def test_no_odd_parameter_wrote_a_file_elsewhere(target: Target) -> None:
    assert target.files_elsewhere() == target.untouched
