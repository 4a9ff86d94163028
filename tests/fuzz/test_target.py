"""The judge of answers knows good ones from bad ones."""

import pytest
import requests

from tests.fuzz.target import as_curl, faults_of

REASON = b'{"detail": "no such study. Expected: a known one"}'


def answer(
    status: int, content: bytes = b"{}", *, method: str = "GET", **headers: str
) -> requests.Response:
    response = requests.Response()
    response.status_code, response._content = status, content
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    response.request = requests.Request(method, "http://127.0.0.1:1/info/").prepare()
    return response


@pytest.mark.parametrize(
    "good",
    [
        answer(200, b"voxels"), answer(400, REASON), answer(422, b'{"detail": [{"msg": "x"}]}'),
        answer(503, REASON, Retry_After="5"), answer(507, REASON), answer(404, b"", method="HEAD"),
    ],
)  # fmt: skip
def test_results_and_reasons_are_no_faults(good: requests.Response) -> None:
    assert [*faults_of(good, ["/srv/state"])] == []


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (answer(500, REASON), "status 500"),
        (answer(503, REASON), "status 503"),  # without Retry-After
        (answer(501, REASON), "status 501"),
        (answer(400, b"Bad Request"), "without a reason"),
        (answer(404, b"{}"), "without a reason"),
        (answer(400, b'{"detail": ""}'), "without a reason"),
        (answer(400, b'{"detail": "/srv/state/x is damaged"}'), "the path /srv/state"),
        (answer(200, b"Traceback (most recent call last):"), "with a traceback"),
    ],
)
def test_faults_are_told(bad: requests.Response, fault: str) -> None:
    (told,) = faults_of(bad, ["/srv/state"])
    assert fault in told


def test_a_request_can_be_sent_again_with_curl() -> None:
    request = requests.Request(
        "PUT", "http://127.0.0.1:1/datastore/image?image=x", files={"file": ("t2.nii", b"voxels")}
    ).prepare()
    command = as_curl(request)
    assert command.startswith("curl -i -X PUT --path-as-is -H 'Content-Type: multipart/form-data;")
    assert command.endswith("'http://127.0.0.1:1/datastore/image?image=x'")
