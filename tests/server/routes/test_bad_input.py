"""Bad requests that the server must refuse, sent over HTTP as the stock client sends them."""

import json
from pathlib import Path

import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server.conftest import lesion_file
from tests.server.routes.replies import detail
from tests.server.running import Server

pytestmark = pytest.mark.usefixtures("stored_files")


def infer(server: Server, image: str, /, **params: object) -> requests.Response:
    return requests.post(
        f"{server.url}/infer/zeus", params={"image": image}, data={"params": json.dumps(params)},
        timeout=60,
    )  # fmt: skip


def test_an_unknown_study_is_not_found_and_the_closest_is_named(server: Server) -> None:
    response = infer(server, "alphaa")
    assert response.status_code == 404
    assert "unknown study 'alphaa'" in detail(response)
    assert "alpha" in detail(response)


def test_an_unknown_sequence_of_a_known_study_is_not_found(server: Server) -> None:
    response = infer(server, "alpha/ADC")
    assert response.status_code == 404
    assert "FLAIR, T2" in detail(response)


def test_an_unknown_model_is_not_found(server: Server) -> None:
    response = requests.post(f"{server.url}/infer/zeuss", params={"image": "alpha"}, timeout=60)
    assert response.status_code == 404
    assert "did you mean 'zeus'" in detail(response)


def test_an_unknown_session_is_not_found(server: Server) -> None:
    response = requests.post(f"{server.url}/infer/zeus", params={"session_id": "gone"}, timeout=60)
    assert response.status_code == 404
    assert "unknown session 'gone'" in detail(response)


def test_an_inference_without_an_image_is_refused(server: Server) -> None:
    assert infer(server, "").status_code == 400


def test_a_path_on_the_server_is_not_accepted_as_an_image(server: Server) -> None:
    path = server.studies / "alpha" / "alpha_t2.nii.gz"
    assert path.exists()
    assert infer(server, str(path)).status_code == 404


@pytest.mark.parametrize("route", ["wsi", "wsi_v2"])
def test_a_whole_slide_on_the_server_is_not_opened(server: Server, route: str) -> None:
    response = requests.post(f"{server.url}/infer/{route}/zeus?image=/srv/slide.svs", timeout=60)
    assert response.status_code == 400
    assert "whole-slide" in detail(response)


@pytest.mark.parametrize(
    "params", [{"image": "bravo"}, {"model": "other"}, {"image": "/etc/passwd"}]
)
def test_params_may_not_name_another_image_or_model(server: Server, params: dict[str, str]) -> None:
    response = infer(server, "alpha", **params)
    assert response.status_code == 400
    assert "take" in detail(response)
    assert "out of params" in detail(response)


@pytest.mark.parametrize(
    ("address", "params"),
    [
        ("train/zeus", {"model": "other"}),
        ("train/zeus", {"image": "bravo"}),
        ("batch/infer/zeus", {"model": "other"}),
        ("batch/infer/zeus", {"images": "labeled"}),
        ("scoring/dice", {"method": "other"}),
        ("scoring/dice", {"model": "other"}),
        ("activelearning/first", {"strategy": "random"}),
        ("activelearning/first", {"image": "bravo"}),
    ],
)
def test_params_may_not_contradict_the_address(
    server: Server, address: str, params: dict[str, str]
) -> None:
    response = requests.post(f"{server.url}/{address}", json=params, timeout=60)
    assert response.status_code == 400
    assert "out of params" in detail(response)


@pytest.mark.parametrize("text", ["{", "[]", "3"])
@pytest.mark.parametrize(
    ("address", "form", "file"),
    [
        ("datastore/label?image=alpha", "params", "label"),
        ("datastore/image?image=new", "params", "file"),
        ("datastore/?image=new", "params", "file"),
        ("datastore/image/info?image=alpha", "info", None),
        ("datastore/label/info?label=slow&tag=kept", "info", None),
        ("datastore/updatelabelinfo?label=slow&tag=kept", "params", None),
    ],
)
def test_a_form_that_is_not_a_json_object_is_refused(
    server: Server, tmp_path: Path, address: str, form: str, file: str | None, text: str
) -> None:
    content = lesion_file(tmp_path / "t2.nii.gz").read_bytes()
    response = requests.put(
        f"{server.url}/{address}", data={form: text},
        files={file: ("t2.nii.gz", content)} if file else None, timeout=60,
    )  # fmt: skip
    assert response.status_code == 400
    assert "JSON object" in detail(response)


@pytest.mark.parametrize("params", ["{", "[]", "3"])
def test_params_that_are_not_a_json_object_are_refused(server: Server, params: str) -> None:
    response = requests.post(
        f"{server.url}/infer/zeus", params={"image": "alpha"}, data={"params": params}, timeout=60
    )
    assert response.status_code == 400
    assert "JSON object" in detail(response)


@pytest.mark.parametrize(
    ("study", "words"),
    [
        ("nan", "NaN"),
        ("constant", "every voxel has the value 7"),
        ("truncated", "cannot be read"),
        ("fived", "5-D"),
        ("apart", "share 0.0%"),
        ("line", "shape (24,)"),
        ("aaa_still", "every voxel has the value 0"),
        ("M_xfcller", r"M\xfcller/odd_t2.nrrd, a name that is no UTF-8"),
    ],
)
def test_a_study_that_cannot_be_used_is_refused_with_the_reason(
    server: Server, study: str, words: str
) -> None:
    response = infer(server, study)
    assert response.status_code == 400
    assert words in detail(response)


def test_a_study_is_segmented_without_the_sequence_that_cannot_be_used(server: Server) -> None:
    address = f"{server.url}/infer/zeus?image=msd_case&output=json"
    params = requests.post(address, timeout=60).json()
    assert (params["used"], params["missing"]) == (["T2"], ["FLAIR"])
    study = requests.get(f"{server.url}/zeus/studies", timeout=60).json()["studies"]["msd_case"]
    assert list(study["sequences"]) == ["T2"]
    assert "NaN" in study["unused"][0]["reason"]
    named = requests.get(f"{server.url}/datastore/image?image=msd_case/FLAIR", timeout=60)
    assert named.status_code == 400
    assert "NaN" in detail(named)


def test_studies_that_cannot_be_used_are_listed_with_their_files(server: Server) -> None:
    problems = requests.get(f"{server.url}/zeus/studies", timeout=60).json()["problems"]
    files = {problem["study"]: problem["files"] for problem in problems}
    assert files["fived"] == [str(server.studies / "fived" / "fived_t2.nii.gz")]
    assert "truncated cannot be used" in server.log_text()
    assert files["M_xfcller"] == [rf"{server.studies}/M\xfcller/odd_t2.nrrd"]
    assert "M_xfcller cannot be used" in server.log_text()


def test_a_study_with_bad_voxels_leaves_the_list_when_it_is_read_until_a_refresh(
    server: Server,
) -> None:
    address = f"{server.url}/zeus/studies"
    assert "nan" in requests.get(f"{address}?refresh=true", timeout=60).json()["studies"]
    infer(server, "nan")
    listed = requests.get(address, timeout=60).json()
    assert "nan" not in listed["studies"]
    (problem,) = [entry for entry in listed["problems"] if entry["study"] == "nan"]
    assert "NaN" in problem["reason"]
    assert problem["files"] == [str(server.studies / "nan" / "nan_t2.nii.gz")]
    assert "nan" in requests.get(f"{address}?refresh=true", timeout=60).json()["studies"]


def test_next_skips_a_study_that_turns_out_unusable(
    server: Server, client: MONAILabelClient
) -> None:
    requests.get(f"{server.url}/zeus/studies?refresh=true", timeout=60)
    assert min(client.datastore()["objects"]) == "aaa_still"
    assert client.next_sample("first", {})["id"] == "alpha"


def test_a_file_sent_along_that_cannot_be_read_is_refused(server: Server, tmp_path: Path) -> None:
    broken = tmp_path / "t2.nii.gz"
    broken.write_bytes(b"no nifti")
    with broken.open("rb") as file:
        response = requests.post(
            f"{server.url}/infer/zeus", files={"file": ("t2.nii.gz", file)}, timeout=60
        )
    assert response.status_code == 400


def test_a_study_of_the_folder_cannot_be_deleted(server: Server) -> None:
    response = requests.delete(f"{server.url}/datastore/image", params={"id": "alpha"}, timeout=60)
    assert response.status_code == 400
    assert (server.studies / "alpha" / "alpha_t2.nii.gz").exists()


def test_an_unknown_image_or_label_is_not_found_over_the_stock_routes(server: Server) -> None:
    for address in (
        "datastore/image?image=nobody",
        "datastore/image/info?image=nobody",
        "datastore/label?label=nobody&tag=final",
        "datastore/label?label=charlie&tag=draft",
        "datastore/label/info?label=charlie&tag=draft",
    ):
        assert requests.get(f"{server.url}/{address}", timeout=60).status_code == 404, address


def test_an_unknown_strategy_is_refused_with_the_known_ones(server: Server) -> None:
    response = requests.post(f"{server.url}/activelearning/best", timeout=60)
    assert response.status_code == 400
    assert "first, random" in detail(response)


def test_an_unknown_scoring_method_is_refused(server: Server) -> None:
    assert requests.post(f"{server.url}/scoring/best", timeout=60).status_code == 400


def test_an_unknown_trainer_is_not_found(server: Server) -> None:
    assert requests.post(f"{server.url}/train/other", json={}, timeout=60).status_code == 404


def test_an_unknown_training_parameter_is_refused_before_a_process_starts(server: Server) -> None:
    response = requests.post(f"{server.url}/train/zeus", json={"epoch": 3}, timeout=60)
    assert response.status_code == 400
    assert "did you mean 'epochs'" in detail(response)


def test_an_invalid_training_parameter_is_refused(server: Server) -> None:
    response = requests.post(f"{server.url}/train/zeus", json={"max_epochs": 0}, timeout=60)
    assert response.status_code == 400
    assert "epochs" in detail(response)


def test_a_mistyped_study_to_exclude_is_refused_because_it_would_be_trained_on(
    server: Server,
) -> None:
    recipe = {"exclude": "alpha, brav"}
    response = requests.post(f"{server.url}/train/zeus", json=recipe, timeout=60)
    assert response.status_code == 404
    assert "unknown study to exclude 'brav'" in detail(response)
    assert "bravo" in detail(response)


def test_a_training_without_labels_is_refused(server: Server) -> None:
    response = requests.post(f"{server.url}/train/zeus", json={}, timeout=60)
    assert response.status_code == 400
    assert "submit labels first" in detail(response)


def test_an_unknown_checkpoint_is_not_found(server: Server) -> None:
    for version in ("v0009", "..%2F..%2Fx"):
        response = requests.post(f"{server.url}/zeus/checkpoints/{version}/serve", timeout=60)
        assert response.status_code == 404


@pytest.mark.parametrize(
    "params",
    [
        {"instructions": {"ADC/lesion": "x"}},
        {"instructions": {"T2/tumour": "x"}},
        {"instructions": {"T2/lesion": " "}},
        {"instructions": "x"},
        {"scope": "some"},
        {"result_extension": ".jpg"},
        {"result_dtype": "complex64"},
        {"threshold": 0.3},
    ],
)
def test_an_invalid_inference_parameter_is_refused(
    server: Server, params: dict[str, object]
) -> None:
    assert infer(server, "alpha", **params).status_code == 400


def test_dicom_seg_of_a_study_that_is_no_dicom_is_refused(server: Server) -> None:
    response = requests.post(
        f"{server.url}/infer/zeus", params={"image": "alpha", "output": "dicom_seg"}, timeout=60
    )
    assert response.status_code == 400


def test_no_refused_request_changes_a_stored_file(stored_files: dict[Path, bytes]) -> None:
    assert {path: path.read_bytes() for path in stored_files} == stored_files


def test_after_all_this_the_server_answers_as_before(client: MONAILabelClient) -> None:
    file, params = client.infer("zeus", "alpha", {})
    assert file
    assert params["study"] == "alpha"
