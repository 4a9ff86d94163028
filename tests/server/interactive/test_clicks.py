"""Clicks over HTTP with the stock client: the voxel that is clicked is the voxel that answers."""

import gzip
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import requests
import SimpleITK as sitk
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.server.conftest import SHAPE, affine, head, save


def answer(server: running.Server, study: str, model: str = "clicks", **params: Any) -> Any:
    """Post a request as OHIF and curl do; returns the status, and the mask or the error."""
    response = requests.post(
        f"{server.url}/infer/{model}",
        params={"image": study, "output": "image"},
        data={"params": json.dumps(params)},
        timeout=60,
    )
    if not response.ok:
        return response.status_code, response.json()["detail"]
    return response.status_code, nib.Nifti1Image.from_bytes(_unzipped(response.content))


def _unzipped(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def marked(image: Any) -> list[list[int]]:
    voxels: list[list[int]] = np.argwhere(np.asarray(image.dataobj)).tolist()
    return voxels


@pytest.mark.parametrize("study", ["alpha", "bravo"])  # stored RAS and LPS
@pytest.mark.parametrize("model", ["clicks", "clicks_3d"])
def test_the_clicked_voxel_is_marked(server: running.Server, study: str, model: str) -> None:
    status, mask = answer(server, study, model, foreground=[[17, 4, 2]], label="lesion", user=model)
    assert status == 200
    assert marked(mask) == [[17, 4, 2]]


def test_the_answer_lies_on_the_grid_of_the_sequence_asked_about(server: running.Server) -> None:
    """FLAIR has half the resolution in plane: its voxel (5, 3, 2) covers four of T2."""
    _, mask = answer(server, "bravo/FLAIR", roi=[5, 5, 3, 3, 2, 2], label="lesion", user="flair")
    assert mask.shape == (12, 10, 6)
    assert marked(mask) == [[5, 3, 2]]


def test_slicers_client_gets_the_same_answer(client: MONAILabelClient, server: Any) -> None:
    params = {"foreground": [[17, 4, 2]], "background": [], "label": "lesion", "user": "slicer"}
    file, params_of_answer = client.infer("clicks", "alpha", params)
    assert marked(nib.load(file)) == [[17, 4, 2]]
    assert params_of_answer["label_names"] == {"lesion": 1}
    assert params_of_answer["clicks"]["lesion"]["foreground"] == [[17.0, 4.0, 2.0]]


def test_ohif_gets_the_file_format_it_asks_for(server: running.Server, tmp_path: Path) -> None:
    """OHIF names no label in deepgrow, and reads plain numbers in an uncompressed NRRD."""
    file_format = {
        "result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False,
        "restore_label_idx": False,
    }  # fmt: skip
    points = {"foreground": [[17, 4, 2]], "background": []}
    response = requests.post(
        f"{server.url}/infer/clicks",
        params={"image": "bravo", "output": "image"},
        data={"params": json.dumps({**points, **file_format, "user": "ohif"})},
        timeout=60,
    )
    path = tmp_path / "answer.nrrd"
    path.write_bytes(response.content)
    header, voxels = response.content.split(b"\n\n", 1)
    assert b"encoding: raw" in header
    assert len(voxels) == np.prod(SHAPE)
    mask = sitk.ReadImage(str(path))
    assert mask.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    assert np.argwhere(sitk.GetArrayFromImage(mask)).tolist() == [[2, 4, 17]]


def test_stock_clients_see_the_types_of_the_tasks(client: MONAILabelClient) -> None:
    models = client.info()["models"]
    kinds = {name: (models[name]["type"], models[name]["dimension"]) for name in models}
    assert kinds["clicks"] == ("deepgrow", 2)
    assert kinds["clicks_3d"] == ("deepgrow", 3)
    assert kinds["edit"] == ("deepedit", 3)
    assert kinds["scribbles"] == ("scribbles", 3)


def test_deepedit_marks_each_label_by_its_name(server: running.Server) -> None:
    _, mask = answer(server, "alpha", "edit", lesion=[[5, 6, 2]], cyst=[[9, 6, 2]], user="edit")
    voxels = np.asarray(mask.dataobj)
    assert (voxels[5, 6, 2], voxels[9, 6, 2]) == (1, 2)


def test_undo_and_reset_work_over_requests(server: running.Server) -> None:
    answer(server, "alpha", foreground=[[5, 6, 2]], user="undo")
    answer(server, "alpha", foreground=[[7, 6, 2]], refine=True, user="undo")
    assert marked(answer(server, "alpha", undo=True, user="undo")[1]) == [[5, 6, 2]]
    assert marked(answer(server, "alpha", reset=True, user="undo")[1]) == []


def test_modes_add_undo_and_reset(server: running.Server) -> None:
    answer(server, "alpha", foreground=[[5, 6, 2]], user="mode")
    _, mask = answer(server, "alpha", foreground=[[7, 6, 2]], mode="add", user="mode")
    assert marked(mask) == [[5, 6, 2], [7, 6, 2]]
    assert marked(answer(server, "alpha", mode="undo", user="mode")[1]) == [[5, 6, 2]]
    assert marked(answer(server, "alpha", mode="reset", user="mode")[1]) == []


def test_undo_goes_back_to_a_click_on_another_sequence(server: running.Server) -> None:
    """FLAIR is half as fine in plane: its voxel (5, 3, 2) lies where T2's (10, 6, 2) does."""
    answer(server, "alpha/FLAIR", foreground=[[5, 3, 2]], user="switch")
    _, mask = answer(server, "alpha", foreground=[[14, 8, 2]], refine=True, user="switch")
    assert marked(mask) == [[10, 6, 2], [14, 8, 2]]
    answer(server, "alpha", undo=True, user="switch")
    assert marked(answer(server, "alpha", user="switch")[1]) == [[10, 6, 2]]
    _, on_flair = answer(server, "alpha/FLAIR", user="switch")
    assert marked(on_flair) == [[5, 3, 2]]


def test_in_2d_the_slice_of_the_newest_click_is_answered(server: running.Server) -> None:
    answer(server, "alpha", foreground=[[10, 6, 2]], user="slices")
    _, newer = answer(server, "alpha", foreground=[[12, 8, 4]], refine=True, user="slices")
    assert marked(newer) == [[12, 8, 4]]
    _, on_first = answer(server, "alpha", background=[[14, 9, 2]], refine=True, user="slices")
    assert marked(on_first) == [[10, 6, 2]]
    assert marked(answer(server, "alpha", undo=True, user="slices")[1]) == [[12, 8, 4]]


def test_in_2d_a_slice_that_is_named_is_answered_once(server: running.Server) -> None:
    clicks = [[10, 6, 2], [12, 8, 4]]
    _, first = answer(server, "alpha", foreground=clicks, slice=2, user="named")
    assert marked(first) == [[10, 6, 2]]
    _, second = answer(server, "alpha", foreground=[[9, 9, 3]], refine=True, user="named")
    assert marked(second) == [[9, 9, 3]]


def test_empty_lists_clear_the_mask_without_an_error(server: running.Server) -> None:
    nothing: tuple[dict[str, Any], ...] = (
        {"foreground": [], "background": []},
        {"lesion": [], "cyst": []},
    )
    for empty in nothing:
        answer(server, "alpha", foreground=[[10, 6, 2]], user="clear")
        status, mask = answer(server, "alpha", **empty, user="clear")
        assert (status, marked(mask)) == (200, [])


def test_a_request_that_fails_leaves_no_step(server: running.Server) -> None:
    status, _ = answer(server, "charlie", foreground=[[10, 6, 2]], prior="final", user="failed")
    assert status == 400
    url = f"{server.url}/zeus/clicks/charlie"
    assert requests.get(url, params={"user": "failed"}, timeout=10).json()["steps"] == 0


def test_a_session_has_a_history_of_its_own(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    file = save(tmp_path / "patient_t2.nii.gz", head(21), affine())
    session = client.create_session(str(file))["session_id"]

    def ask(**params: Any) -> Any:
        file, _ = client.infer("clicks_3d", "", params, session_id=session)
        return marked(nib.load(file))

    ask(foreground=[[10, 6, 2]])
    assert ask(foreground=[[12, 8, 3]], refine=True) == [[10, 6, 2], [12, 8, 3]]
    assert ask(undo=True) == [[10, 6, 2]]


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("clicks", {"foreground": [[10, 6, 2]], "sequences": "FLAIR"}),
        ("clicks_3d", {"foreground": [[10, 6, 2]], "sequences": ["T2", "FLAIR"]}),
        ("clicks", {"instructions": {"FLAIR/lesion": "bright"}}),
        ("zeus", {"instructions": {"FLAIR": "bright"}}),
    ],
)
def test_a_sequence_that_the_study_lacks_is_named(
    client: MONAILabelClient, server: running.Server, tmp_path: Path, model: str, params: Any
) -> None:
    file = save(tmp_path / "patient_t2.nii.gz", head(23), affine())
    session = client.create_session(str(file))["session_id"]
    refused = requests.post(
        f"{server.url}/infer/{model}",
        params={"session_id": session},
        data={"params": json.dumps(params)},
        timeout=60,
    )
    assert refused.status_code == 400
    assert "the study has no FLAIR; it has T2" in refused.json()["detail"]


def test_scribbles_belong_to_the_label_that_is_named(
    server: running.Server, tmp_path: Path
) -> None:
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[10, 6, 2] = 3
    path = save(tmp_path / "scribbles.nii.gz", drawn, affine())
    with path.open("rb") as file:
        requests.put(
            f"{server.url}/zeus/clicks/alpha/scribbles",
            params={"user": "scribbler"}, files={"file": file}, timeout=10,
        ).raise_for_status()  # fmt: skip
    params = {"scribbles": True, "label": "cyst", "lesion": [[14, 8, 2]], "user": "scribbler"}
    voxels = np.asarray(answer(server, "alpha", "edit", **params)[1].dataobj)
    assert (voxels[10, 6, 2], voxels[14, 8, 2]) == (2, 1)


def test_slicer_s_scribbles_come_as_the_label_file_of_an_inference(
    client: MONAILabelClient, tmp_path: Path
) -> None:
    """With the stock client; ids and names as the module of 3D Slicer numbers its segments."""
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[10, 6, 2], drawn[14, 8, 2], drawn[5, 5, 2], drawn[12, 9, 4] = 4, 3, 2, 4
    path = save(tmp_path / "scribbles.nii.gz", drawn, affine())
    names = ("lesion", "cyst", "background_scribbles", "foreground_scribbles")
    info = [{"name": name, "id": number} for number, name in enumerate(names, start=1)]
    params = {"roi": [], "label_info": info, "selected_label_name": "lesion", "most_slices": 0}
    file, told = client.infer("scribbles", "alpha", params, label_in=str(path))
    assert marked(nib.load(file)) == [[10, 6, 2], [12, 9, 4]]
    assert told["label_names"] == {"lesion": 1}


@pytest.mark.parametrize("model", ["clicks", "clicks_3d", "edit", "scribbles"])
@pytest.mark.parametrize("study", ["alpha", "bravo", "alpha/FLAIR"])
def test_every_model_of_clicks_uses_a_label_file_of_plain_scribbles(
    server: running.Server, tmp_path: Path, model: str, study: str
) -> None:
    """Clicks that are sent along count too."""
    shape, spacing = (
        (SHAPE, (1.0, 1.0, 3.0)) if "/" not in study else ((12, 10, 6), (2.0, 2.0, 3.0))
    )
    drawn = np.zeros(shape, np.uint8)
    drawn[9, 6, 2], drawn[7, 5, 2] = 3, 2
    flip = (-1, -1, 1) if study == "bravo" else (1, 1, 1)
    path = save(tmp_path / "s.nii.gz", drawn, affine(spacing, flip))
    params = {"foreground": [[5, 5, 2]], "label": "lesion", "most_slices": 0}
    with path.open("rb") as file:
        response = requests.post(
            f"{server.url}/infer/{model}",
            params={"image": study, "output": "image"},
            data={"params": json.dumps({**params, "user": f"{model} {study}"})},
            files={"label": file},
            timeout=60,
        )
    assert response.ok, response.text
    assert marked(nib.Nifti1Image.from_bytes(_unzipped(response.content))) == [[5, 5, 2], [9, 6, 2]]


def test_a_plain_mask_as_label_file_is_the_mask_to_refine(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    initial = np.zeros(SHAPE, np.uint8)
    initial[3:5, 4, 1] = 1
    path = save(tmp_path / "mask.nii.gz", initial, affine())
    file, _ = client.infer("clicks_3d", "alpha", {"user": "plain"}, label_in=str(path))
    assert np.array_equal(np.asarray(nib.load(file).dataobj), initial)


def test_a_label_file_counts_for_a_session_s_image_too(
    client: MONAILabelClient, tmp_path: Path
) -> None:
    image = save(tmp_path / "patient_t2.nii.gz", head(22), affine())
    session = client.create_session(str(image))["session_id"]
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[10, 6, 2] = 3
    path = save(tmp_path / "scribbles.nii.gz", drawn, affine())
    params = {"most_slices": 0}
    file, _ = client.infer("scribbles", "", params, label_in=str(path), session_id=session)
    assert marked(nib.load(file)) == [[10, 6, 2]]


def test_the_same_click_twice_is_answered_as_once(server: running.Server) -> None:
    _, once = answer(server, "alpha", foreground=[[10, 6, 2]], user="once")
    _, often = answer(server, "alpha", foreground=[[10, 6, 2], [10.3, 5.8, 2.2]] * 3, user="often")
    assert marked(often) == marked(once) == [[10, 6, 2]]
    url = f"{server.url}/zeus/clicks/alpha"
    stored = requests.get(url, params={"user": "often"}, timeout=10).json()
    assert stored["clicks"]["lesion"]["foreground"] == [[10.0, 6.0, 2.0]]


@pytest.mark.parametrize(
    "roi", [[22, 40, -9, 1, 2, 2], [40, 22, 1, -9, 2, 2], [[22, -3, 2], [99, 1.2, 2]]]
)
def test_a_box_that_reaches_beyond_the_image_is_cut_at_its_edge(
    server: running.Server, roi: list[Any]
) -> None:
    status, mask = answer(server, "alpha", roi=roi, user="beyond")
    assert status == 200
    assert marked(mask) == [[22, 0, 2], [22, 1, 2], [23, 0, 2], [23, 1, 2]]


def test_clients_see_the_labels_and_options_of_each_task(client: MONAILabelClient) -> None:
    """OHIF appends to the app's list of labels; Slicer sends a deepedit model all of them."""
    info = client.info()
    assert info["labels"] == ["lesion", "cyst", "background"]
    assert info["models"]["edit"]["labels"] == {"lesion": 1, "cyst": 2, "background": 0}
    assert info["models"]["clicks"]["labels"] == {"lesion": 1, "cyst": 2}
    assert info["models"]["clicks_3d"]["config"] == {
        "text": "", "sequences": ["all", "T2", "FLAIR"], "overwrite": False,
        "most_slices": ["64", "0", "1", "2", "4", "8", "16", "32"],
    }  # fmt: skip


def test_a_background_click_counts_for_every_label(server: running.Server) -> None:
    points = {"lesion": [[10, 6, 2]], "cyst": [], "background": [[12, 8, 2]]}
    status, mask = answer(server, "alpha", "edit", **points, label="background", user="background")
    assert (status, marked(mask)) == (200, [[10, 6, 2]])


def test_two_users_on_one_study_never_mix(server: running.Server) -> None:
    answer(server, "alpha", foreground=[[5, 6, 2]], user="ann")
    answer(server, "alpha", foreground=[[7, 6, 2]], user="bob")
    _, mask = answer(server, "alpha", foreground=[[8, 6, 2]], refine=True, user="ann")
    assert marked(mask) == [[5, 6, 2], [8, 6, 2]]
    of_bob = requests.get(f"{server.url}/zeus/clicks/alpha", params={"user": "bob"}, timeout=10)
    assert of_bob.json()["clicks"]["lesion"]["foreground"] == [[7.0, 6.0, 2.0]]


@pytest.mark.parametrize("name", ["initial_mask", "prior"])  # the second one is deprecated
def test_an_uploaded_mask_is_the_initial_mask(
    server: running.Server, tmp_path: Path, name: str
) -> None:
    initial = np.zeros(SHAPE, np.uint8)
    initial[3:5, 4, 1] = 2
    path = save(tmp_path / "mask.nii.gz", initial, affine())
    with path.open("rb") as file:
        response = requests.put(
            f"{server.url}/zeus/clicks/alpha/{name}",
            params={"user": name}, files={"file": file}, timeout=10,
        )  # fmt: skip
    assert response.json() == {"study": "alpha", "user": name, "kept": name}
    _, mask = answer(server, "alpha", "clicks_3d", **{name: "uploaded"}, user=name)
    assert np.array_equal(np.asarray(mask.dataobj), initial)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("initial_mask", "lie inside the study"), ("scribbles", "another grid than the study's")],
)
def test_a_mask_that_lies_elsewhere_is_refused(
    server: running.Server, tmp_path: Path, kind: str, reason: str
) -> None:
    away = affine()
    away[:3, 3] += 5000
    path = save(tmp_path / "prior.nii.gz", np.ones(SHAPE, np.uint8), away)
    with path.open("rb") as file:
        refused = requests.put(
            f"{server.url}/zeus/clicks/alpha/{kind}", files={"file": file}, timeout=10
        )
    assert refused.status_code == 400
    assert reason in refused.json()["detail"]


@pytest.mark.parametrize("kind", ["initial_mask", "scribbles"])
@pytest.mark.parametrize("value", [0.5, np.nan, -1, 7, 300])
def test_a_mask_with_values_of_no_meaning_is_refused(
    server: running.Server, tmp_path: Path, kind: str, value: float
) -> None:
    path = save(tmp_path / "mask.nii.gz", np.full(SHAPE, value, np.float32), affine())
    with path.open("rb") as file:
        refused = requests.put(
            f"{server.url}/zeus/clicks/alpha/{kind}", files={"file": file}, timeout=10
        )
    assert refused.status_code == 400
    assert f"{value:g}" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("params", "status", "reason"),
    [
        ({"foreground": [[1, 2]]}, 400, "foreground"),
        ({"foreground": [[1, 2, 6]]}, 400, "a voxel of the image"),
        ({"foreground": [[1, 2, 3]], "label": "spleen"}, 404, "unknown label"),
        ({"foreground": [[1, 2, 3]], "slice": 6}, 400, "slice 6"),
        ({"undo": "perhaps"}, 400, "undo"),
        ({"roi": [30, 40, 2, 4, 2, 2]}, 400, "24×20×6 voxels"),
        ({"foreground": [[True, 2, 3]]}, 400, "foreground"),
        ({"foreground": [[1, 2, 3]], "slice": True}, 400, "slice"),
        ({"prior": "final"}, 400, "submitted label"),
        ({"scribbles": True}, 400, "PUT /zeus/clicks"),
    ],
)
def test_bad_clicks_are_refused_with_the_reason(
    server: running.Server, params: dict[str, Any], status: int, reason: str
) -> None:
    actual_status, error = answer(server, "charlie", user="bad", **params)
    assert actual_status == status
    assert reason in error
