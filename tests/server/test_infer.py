"""Answers of inferences: of studies, of single sequences, sessions, uploads and batches."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
import SimpleITK as sitk
from monailabel.client import MONAILabelClient

from tests.server.conftest import LESION, affine, head, save
from tests.server.running import Server


def test_the_server_lists_studies_and_not_files(client: MONAILabelClient) -> None:
    listed = set(client.datastore()["objects"])
    assert {"alpha", "bravo", "charlie", "slow"} <= listed
    assert "alpha/T2" not in listed
    assert "alpha_t2" not in listed


def test_downloading_a_study_gives_the_file_of_its_reference_sequence(server: Server) -> None:
    response = requests.get(f"{server.url}/datastore/image?image=alpha", timeout=60)
    assert response.content == (server.studies / "alpha" / "alpha_t2.nii.gz").read_bytes()


def test_downloading_a_sequence_gives_its_file(server: Server) -> None:
    response = requests.get(f"{server.url}/datastore/image?image=alpha/FLAIR", timeout=60)
    assert response.content == (server.studies / "alpha" / "alpha_flair.nii.gz").read_bytes()


@pytest.mark.parametrize("study", ["alpha", "bravo"])
@pytest.mark.parametrize("sequence", ["", "/T2", "/FLAIR"])
def test_the_mask_has_the_grid_of_the_requested_image(
    server: Server, client: MONAILabelClient, study: str, sequence: str
) -> None:
    file, _ = client.infer("zeus", study + sequence, {})
    name = sequence[1:].lower() or "t2"
    image = nib.load(server.studies / study / f"{study}_{name}.nii.gz")
    mask = nib.load(file)
    assert mask.shape == image.shape
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)


def test_the_answer_names_the_labels_of_its_mask(client: MONAILabelClient) -> None:
    """Slicer gives the n-th name, by value, to the n-th value that it finds in the mask."""
    file, params = client.infer("zeus", "alpha", {})
    values = set(np.unique(np.asarray(nib.load(file).dataobj))) - {0}
    assert set(params["label_names"].values()) == values


def test_the_answer_names_sequences_checkpoint_and_instructions(client: MONAILabelClient) -> None:
    _, params = client.infer("zeus", "alpha", {})
    assert params["used"] == ["T2", "FLAIR"]
    assert params["missing"] == []
    assert params["checkpoint"] == "untrained"
    assert params["untrained"] is True
    assert params["profile"] == "reference-small"
    assert params["fusion"] == "hybrid"
    assert params["instructions"][0] == {
        "sequence": "T2",
        "slice": None,
        "label": "lesion",
        "text": "look for it",
        "model": "fake-llm",
        "notice": "machine-made, not for diagnosis",
    }


def test_an_instruction_of_a_user_is_used_and_not_marked_as_machine_made(
    client: MONAILabelClient,
) -> None:
    _, params = client.infer("zeus", "alpha", {"instructions": {"FLAIR/cyst": "dark, round"}})
    (instruction,) = [i for i in params["instructions"] if i["text"] == "dark, round"]
    values = [instruction[key] for key in ("sequence", "label", "notice")]
    assert values == ["FLAIR", "cyst", ""]


@pytest.mark.parametrize("extension", [".nii.gz", ".nii", ".nrrd", ".seg.nrrd"])
def test_the_mask_has_the_requested_format(
    server: Server, client: MONAILabelClient, extension: str
) -> None:
    file, _ = client.infer("zeus", "bravo", {"result_extension": extension})
    assert file.endswith(extension)
    mask = sitk.ReadImage(file)
    image = sitk.ReadImage(str(server.studies / "bravo" / "bravo_t2.nii.gz"))
    assert mask.GetSize() == image.GetSize()
    np.testing.assert_allclose(mask.GetOrigin(), image.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(mask.GetDirection(), image.GetDirection(), atol=1e-6)


def test_a_seg_nrrd_names_its_segments(client: MONAILabelClient) -> None:
    file, _ = client.infer("zeus", "alpha", {"result_extension": ".seg.nrrd"})
    mask = sitk.ReadImage(file)
    assert mask.GetMetaData("Segment1_Name") == "cyst"
    assert mask.GetMetaData("Segment1_LabelValue") == "2"


def test_the_mask_has_the_requested_dtype(client: MONAILabelClient) -> None:
    file, _ = client.infer("zeus", "alpha", {"result_dtype": "uint16"})
    assert nib.load(file).get_data_dtype() == np.uint16


def test_output_json_gives_the_params_without_a_mask(server: Server) -> None:
    response = requests.post(
        f"{server.url}/infer/zeus", params={"image": "alpha", "output": "json"}, timeout=60
    )
    assert response.json()["study"] == "alpha"


def test_zeus_saves_each_prediction(server: Server, client: MONAILabelClient) -> None:
    client.infer("zeus", "charlie", {})
    prediction = requests.get(f"{server.url}/zeus/originals/charlie", timeout=60).json()
    assert prediction["checkpoint"] == "untrained"
    assert client.datastore()["objects"]["charlie"]["labels"].keys() == {"original"}


def test_the_mask_of_each_sequence_can_be_fetched(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    client.infer("zeus", "charlie", {})
    address = f"{server.url}/zeus/originals/charlie/mask"
    mask = tmp_path / "mask.nii.gz"
    mask.write_bytes(requests.get(address, params={"sequence": "FLAIR"}, timeout=60).content)
    assert nib.load(mask).shape == (24, 20, 6)
    assert requests.get(address, params={"sequence": "ADC"}, timeout=60).status_code == 404


def test_a_session_of_one_file_is_a_study_of_one_sequence(
    client: MONAILabelClient, tmp_path: Path
) -> None:
    file = save(tmp_path / "patient_flair.nii.gz", head(40), affine())
    session = client.create_session(str(file))["session_id"]
    mask, params = client.infer("zeus", "", {}, session_id=session)
    assert params["used"] == ["FLAIR"]
    assert params["missing"] == ["T2"]
    assert nib.load(mask).shape == (24, 20, 6)


def test_a_session_of_several_files_is_one_study(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    paths = [save(tmp_path / f"p_{name}.nii.gz", head(41), affine()) for name in ("t2", "flair")]
    files = [("files", (path.name, path.open("rb"))) for path in paths]
    made = requests.put(f"{server.url}/session/", files=files, timeout=60).json()
    _, params = client.infer("zeus", "", {}, session_id=made["session_id"])
    assert params["used"] == ["T2", "FLAIR"]


def test_a_file_in_the_request_is_segmented_and_not_saved(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    file = save(tmp_path / "t2.nii.gz", head(42), affine())
    mask, params = client.infer("zeus", "", {}, file=str(file))
    assert params["used"] == ["T2"]
    assert nib.load(mask).shape == (24, 20, 6)
    copies = [path.name for path in server.state.rglob("originals/*")]
    assert not any("temporary" in name for name in copies)


def test_an_upload_is_listed_and_segmented_and_its_file_survives_removal(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    t2 = head(43)
    t2[LESION] = 900
    client.upload_image(str(save(tmp_path / "x_t2.nii.gz", t2, affine())), "sent in")
    assert client.infer("zeus", "sent in", {})[1]["used"] == ["T2"]
    requests.delete(f"{server.url}/datastore/image", params={"id": "sent in"}, timeout=60)
    assert "sent in" not in client.datastore()["objects"]
    assert len(list(server.state.rglob("removed/*-sent in~T2.nii.gz"))) == 1


def test_the_sequence_of_an_upload_is_read_from_its_file_name(
    client: MONAILabelClient, tmp_path: Path
) -> None:
    client.upload_image(str(save(tmp_path / "anna_flair.nii.gz", head(44), affine())), "anna")
    assert client.infer("zeus", "anna", {})[1]["used"] == ["FLAIR"]


def test_a_client_may_save_the_answer_under_a_tag(
    client: MONAILabelClient,
) -> None:
    client.infer("zeus", "charlie", {"save_label": True, "label_tag": "draft"})
    assert "draft" in client.datastore()["objects"]["charlie"]["labels"]


def test_a_batch_runs_on_a_cpu(server: Server) -> None:
    response = requests.post(
        f"{server.url}/batch/infer/zeus?images=labeled&run_sync=true", json={}, timeout=60
    )
    assert response.status_code == 200
    assert json.loads(response.text) == {}


def test_a_study_that_cannot_be_used_does_not_end_a_batch(server: Server) -> None:
    requests.get(f"{server.url}/zeus/studies?refresh=true", timeout=60)
    address = f"{server.url}/batch/infer/zeus?images=unlabeled&run_sync=true"
    answers = requests.post(address, json={}, timeout=120).json()
    assert "NaN" in answers["nan"]["error"]
    assert answers["alpha"]["params"]["study"] == "alpha"


def test_an_emptied_studies_folder_is_served_and_not_removed(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    moved = [path.rename(tmp_path / path.name) for path in server.studies.iterdir()]
    refreshed = f"{server.url}/zeus/studies?refresh=true"
    try:
        assert "alpha" not in requests.get(refreshed, timeout=60).json()["studies"]
        assert server.studies.is_dir()
        server.studies.rmdir()
        gone = requests.get(refreshed, timeout=60)
        assert gone.status_code == 400
        assert "does not exist" in gone.json()["detail"]
    finally:
        server.studies.mkdir(exist_ok=True)
        for path in moved:
            path.rename(server.studies / path.name)
    requests.get(refreshed, timeout=60).raise_for_status()
    assert client.infer("zeus", "alpha", {})[1]["study"] == "alpha"
