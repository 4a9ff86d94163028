"""Viewers read a folder's DICOM studies, or those of a PACS. dicomweb-client is the viewer here."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
import uvicorn
from dicomweb_client import DICOMwebClient
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from tests.dicom.fake_pacs import FakePacs, served
from tests.server.conftest import make_study
from tests.server.running import free_port
from tests.studies.tiny_files import SAGITTAL, dicom_series
from tests.waiting import wait_until
from zeus_app.dicom.web.client import DicomWeb
from zeus_app.errors import InputError
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.routes.dicomweb import dicomweb_routes
from zeus_app.settings.pacs import PacsSettings, pacs_access

STUDY = "1.2.3"
SECRETS = {"ZEUS_PACS_USER": "zeus", "ZEUS_PACS_PASSWORD": "s3cret"}
DICOM = 'multipart/related; type="application/dicom"; boundary=b'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM study with a sagittal T2 besides T2 and FLAIR, and a NIfTI study."""
    folder = tmp_path_factory.mktemp("dicomweb") / "studies"
    make_study(folder, "alpha", 1)
    dicom_series(folder / "anna" / "t2", "t2_tra", PatientName="Doe^Jane")
    dicom_series(folder / "anna" / "flair", "flair_tra", PatientName="Doe^Jane")
    dicom_series(
        folder / "anna" / "sag", "t2_sag", orientation=SAGITTAL, PatientName="Doe^Jane",
        positions=[(0, 0, 0), (3, 0, 0), (6, 0, 0)],
    )  # fmt: skip
    dicom_series(folder.parent / "result", "a result of Zeus", Modality="SEG")
    return folder


def context_of(folder: Path, state: Path, **conf: str) -> ServerContext:
    return open_context(str(folder), {"state": str(state), "target": "phantom", **conf})


def app_of(ctx: ServerContext, web: DicomWeb | None = None) -> FastAPI:
    server = FastAPI()
    server.include_router(dicomweb_routes(lambda: ctx, pacs=lambda: web, results=lambda _: {}))

    @server.exception_handler(InputError)
    async def refused(_: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, error.status)

    return server


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return TestClient(app_of(context_of(folder, tmp_path_factory.mktemp("state"))))


def series_uid(folder: Path, name: str) -> str:
    return str(pydicom.dcmread(folder / "anna" / name / "000.dcm").SeriesInstanceUID)


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """The address of a real server."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def viewer(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DICOMwebClient]:
    ctx = context_of(folder, tmp_path_factory.mktemp("state"))
    with running(app_of(ctx)) as url:
        yield DICOMwebClient(f"{url}/proxy/dicom", qido_url_prefix="qido", wado_url_prefix="wado")


def test_the_list_shows_dicom_studies_alone(viewer: DICOMwebClient) -> None:
    (study,) = viewer.search_for_studies(limit=101, fuzzymatching=True)
    assert study["0020000D"]["Value"] == [STUDY]
    assert study["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert study["00201206"]["Value"] == [3]


@pytest.mark.parametrize(("name", "count"), [("*doe*", 1), ("Doe^John", 0)])
def test_the_list_is_searched(viewer: DICOMwebClient, name: str, count: int) -> None:
    assert len(viewer.search_for_studies(search_filters={"PatientName": name})) == count


def test_every_series_is_shown_also_one_that_is_no_sequence(
    viewer: DICOMwebClient, folder: Path
) -> None:
    found = viewer.search_for_series(STUDY)
    assert {item["0020000E"]["Value"][0] for item in found} == {
        series_uid(folder, name) for name in ("t2", "flair", "sag")
    }


def test_metadata_tell_where_each_slice_lies(viewer: DICOMwebClient, folder: Path) -> None:
    items = viewer.retrieve_series_metadata(STUDY, series_uid(folder, "sag"))
    positions = sorted(item["00200032"]["Value"] for item in items)
    assert positions == [[0, 0, 0], [3, 0, 0], [6, 0, 0]]


def test_pixels_are_those_of_the_file(viewer: DICOMwebClient, folder: Path) -> None:
    data = pydicom.dcmread(folder / "anna" / "t2" / "001.dcm")
    uids = STUDY, series_uid(folder, "t2"), str(data.SOPInstanceUID)
    (frame,) = viewer.retrieve_instance_frames(*uids, [1])
    assert np.frombuffer(frame, "<u2").tolist() == data.pixel_array.ravel().tolist()


def test_a_file_can_be_downloaded(viewer: DICOMwebClient, folder: Path) -> None:
    data = pydicom.dcmread(folder / "anna" / "t2" / "001.dcm")
    uids = STUDY, series_uid(folder, "t2"), str(data.SOPInstanceUID)
    assert viewer.retrieve_instance(*uids) == data


def test_a_folder_of_nifti_files_gives_an_empty_list(tmp_path: Path) -> None:
    make_study(tmp_path / "studies", "alpha", 1)
    client = TestClient(app_of(context_of(tmp_path / "studies", tmp_path / "state")))
    answer = client.get("/proxy/dicom/qido/studies")
    assert (answer.status_code, answer.json()) == (200, [])


def test_the_results_of_zeus_are_series_of_their_study(folder: Path, tmp_path: Path) -> None:
    ctx, server = context_of(folder, tmp_path), FastAPI()
    files = tuple(sorted((folder.parent / "result").iterdir()))
    asked: list[str] = []

    def results(study_uid: str) -> dict[str, tuple[Path, ...]]:
        asked.append(study_uid)
        return {"1.9.9": files}

    server.include_router(dicomweb_routes(lambda: ctx, pacs=lambda: None, results=results))
    (study,) = TestClient(server).get("/proxy/dicom/qido/studies").json()
    assert study["00080061"]["Value"] == ["MR", "SEG"]
    assert asked == [STUDY]


@pytest.mark.parametrize("service", ["qido/", "wado/", "stow/", ""])
def test_one_address_serves_all_services(client: TestClient, service: str) -> None:
    assert client.get(f"/proxy/dicom/{service}studies/{STUDY}/metadata").status_code == 200


@pytest.mark.parametrize(
    "path", ["wado/../../info", "wado/studies/..%2f..%2finfo", "wado/studies/1.2.3%2f..%2f..",
             "http://127.0.0.1:9/studies", "wado//studies", "qido/patients", "wado/studies/9"]
)  # fmt: skip
def test_what_is_no_resource_is_not_found(client: TestClient, path: str) -> None:
    answer = client.get(f"/proxy/dicom/{path}")
    assert answer.status_code == 404


def test_nothing_is_written_into_a_folder(client: TestClient) -> None:
    answer = client.post("/proxy/dicom/wado/studies", content=b"x", headers={"Content-Type": DICOM})
    assert answer.status_code == 403
    assert "a studies folder, which Zeus never changes" in answer.json()["detail"]


@pytest.fixture
def pacs(folder: Path) -> Iterator[FakePacs]:
    state = FakePacs()
    state.add_files((folder / "anna").rglob("*.dcm"))
    with served(state):
        yield state


def client_of(pacs: FakePacs, folder: Path, state: Path, **conf: str) -> TestClient:
    web = DicomWeb(pacs_access(pacs.url, PacsSettings(), SECRETS))
    return TestClient(app_of(context_of(folder, state, **conf), web))


def test_a_pacs_is_asked_for_what_the_viewer_asks(
    pacs: FakePacs, folder: Path, tmp_path: Path
) -> None:
    client = client_of(pacs, folder, tmp_path)
    answer = client.get(
        "/proxy/dicom/qido/studies?limit=101&ModalitiesInStudy=MR",
        headers={"Authorization": "Bearer of-the-viewer", "Cookie": "zeus=1"},
    )
    assert [item["0020000D"]["Value"] for item in answer.json()] == [[STUDY]]
    assert pacs.requests[-1].endswith("/studies?limit=101&ModalitiesInStudy=MR")
    assert pacs.headers["Authorization"] == "Basic emV1czpzM2NyZXQ="
    assert "Cookie" not in pacs.headers


def test_metadata_of_a_pacs_are_passed_on(pacs: FakePacs, folder: Path, tmp_path: Path) -> None:
    answer = client_of(pacs, folder, tmp_path).get(f"/proxy/dicom/wado/studies/{STUDY}/metadata")
    assert len(answer.json()) == 9


@pytest.mark.parametrize("path", ["wado/../changes", "wado/http://127.0.0.1:9/studies", "changes"])
def test_a_pacs_gets_no_request_that_is_no_dicomweb(
    pacs: FakePacs, folder: Path, tmp_path: Path, path: str
) -> None:
    client = client_of(pacs, folder, tmp_path)
    assert client.get(f"/proxy/dicom/{path}").status_code == 404
    assert pacs.requests == []


def post(client: TestClient, path: str) -> int:
    answer = client.post(path, content=b"--b\r\n", headers={"Content-Type": DICOM})
    return answer.status_code


def test_a_viewer_writes_to_a_pacs_only_if_the_settings_say_so(
    pacs: FakePacs, folder: Path, tmp_path: Path
) -> None:
    assert post(client_of(pacs, folder, tmp_path), "/proxy/dicom/wado/studies") == 403
    assert pacs.requests == []


def test_an_allowed_viewer_writes_to_studies_alone(
    pacs: FakePacs, folder: Path, tmp_path: Path
) -> None:
    client = client_of(pacs, folder, tmp_path, pacs_viewer_write="true")
    assert post(client, f"/proxy/dicom/wado/studies/{STUDY}/metadata") == 403
    assert pacs.requests == []
    post(client, f"/proxy/dicom/wado/studies/{STUDY}")
    assert pacs.requests[-1].endswith(f"/studies/{STUDY}")
