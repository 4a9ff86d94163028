"""What a DICOM file says of its patient stands in no answer, no log and no file of the state."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.server.conftest import save, serving
from tests.server.running import Server
from tests.studies.tiny_files import dicom_series
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

SHAPE = (5, 4, 3)  # of `dicom_series`
PERSON: dict[str, Any] = {
    "PatientID": "P0815",
    "PatientName": "Roe^Anna",
    "PatientBirthDate": "19700101",
}
SECRETS = ("P0815", "Roe", "19700101")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Studies of one patient, and the state of version 0.2.0, which named one after its id."""
    studies, state = tmp_path / "studies", tmp_path / "state"
    dicom_series(studies, "T2", **PERSON)
    dicom_series(studies / "later", "T2", study_uid="1.9", **PERSON)
    dicom_series(studies / "unusable", "localizer", study_uid="1.10", **PERSON)
    info = state / "phantom" / "info" / "P0815.json"
    info.parent.mkdir(parents=True)
    info.write_text('{"quality": "good"}')
    (state / "phantom" / "splits.json").write_text('{"P0815": "train"}')
    yield from serving(studies, state)


def label(path: Path, study: str, studies: Path) -> Path:
    """A lesion in the middle of a study."""
    files = find_studies(studies, load_target("phantom")).studies[study]
    array = np.zeros(SHAPE, np.uint8)
    array[2:4, 1:3, 1] = 1
    return save(path, array, files.sources["T2"].grid().affine_ras)


def use(server: Server, folder: Path) -> Iterator[str]:
    """The loop of a client; yields every answer."""

    def send(method: str, address: str, **more: Any) -> requests.Response:
        answer = requests.request(method, f"{server.url}{address}", timeout=120, **more)
        assert answer.ok, answer.text
        return answer

    study = send("POST", "/activelearning/first").json()["id"]
    for name in (study, "later"):
        file = label(folder / f"{name}.nii.gz", name, server.studies)
        files = {"label": (file.name, file.read_bytes())}
        yield send("PUT", f"/datastore/label?image={name}&tag=final", files=files).text
    yield send("POST", "/train/zeus?run_sync=true", json={"epochs": 2}).text
    clicks = {"foreground": [[2, 2, 1]], "label": "lesion"}
    for model, params in (("zeus", {}), ("clicks", clicks)):
        address = f"/infer/{model}?image={study}&output=json"
        yield send("POST", address, data={"params": json.dumps(params)}).text
    yield send("POST", "/scoring/dice?run_sync=true").text
    yield requests.post(f"{server.url}/infer/zeus?image=unusable", timeout=60).text
    for address in (
        "/info/", "/logs/", "/train/", "/datastore/", "/datastore/?output=all", "/zeus/checkpoints",
        "/zeus/progress", "/zeus/studies?refresh=true", f"/zeus/originals/{study}",
        f"/zeus/labels/{study}", f"/datastore/image/info?image={study}",
        f"/datastore/label/info?label={study}&tag=final",
    ):  # fmt: skip
        yield send("GET", address).text
    image = send("GET", f"/datastore/image?image={study}")
    yield f"{image.headers}{image.content.decode('latin1')}"


def test_no_answer_no_log_and_no_file_names_the_patient(server: Server, tmp_path: Path) -> None:
    told = "\n".join(use(server, tmp_path))
    kept = [path for path in server.state.rglob("*") if path.is_file()]
    contents = b"\n".join(path.read_bytes() for path in kept).decode("latin1")
    for secret in SECRETS:
        assert secret not in told
        assert secret not in "\n".join(map(str, kept))
        assert secret not in contents
    # The former id still opens the study, with the notes of then.
    address = f"{server.url}/datastore/image/info?image=P0815"
    known = requests.get(address, timeout=60).json()
    assert known["info"]["quality"] == "good"
    assert "P0815" not in str(known)
