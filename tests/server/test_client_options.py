"""What users of stock clients type and choose takes effect, and their segments are kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.server.conftest import SHAPE, affine, head, make_study, save, serving
from tests.server.interactive.test_clicks import answer, marked

CYST = np.s_[10:13, 6:9, 1:4]  # of the final label
CYST_VOXELS = 3 * 3 * 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """Study alpha has a final label with a cyst; bravo has none."""
    folder = tmp_path_factory.mktemp("options")
    for seed, study in enumerate(("alpha", "bravo")):
        make_study(folder / "studies", study, seed)
    label = np.zeros(SHAPE, np.uint8)
    label[CYST] = 2
    file = save(folder / "label.nii.gz", label, affine())
    for started in serving(folder / "studies", folder / "state"):
        MONAILabelClient(started.url, tmpdir=str(folder)).save_label("alpha", str(file))
        yield started


def params_of(client: MONAILabelClient, model: str, **params: Any) -> dict[str, Any]:
    _, answered = client.infer(model, "alpha", params)
    told: dict[str, Any] = answered
    return told


def voxels(mask: Any) -> npt.NDArray[np.generic]:
    return np.asarray(mask.dataobj)


@pytest.mark.parametrize(
    ("sent", "used"),
    [
        ("FLAIR", ["FLAIR"]),
        ("T2,FLAIR", ["T2", "FLAIR"]),
        ("all", ["T2", "FLAIR"]),
        (["all", "T2", "FLAIR"], ["T2", "FLAIR"]),  # untouched
    ],
)
def test_an_inference_uses_the_chosen_sequences(
    client: MONAILabelClient, sent: object, used: list[str]
) -> None:
    params = params_of(client, "zeus", sequences=sent)
    assert params["used"] == used
    assert {i["sequence"] for i in params["instructions"]} == set(used)


@pytest.mark.parametrize("model", ["zeus", "clicks"])
def test_a_chosen_sequence_that_the_study_lacks_is_refused_with_those_it_has(
    server: running.Server, client: MONAILabelClient, tmp_path: Path, model: str
) -> None:
    image = save(tmp_path / "patient_t2.nii.gz", head(4), affine())
    session = client.create_session(str(image))["session_id"]
    with pytest.raises(Exception, match="it has T2"):
        client.infer(model, "", {"sequences": "FLAIR"}, session_id=session)


def test_a_typed_text_is_the_user_s_instruction_in_all_sequences(client: MONAILabelClient) -> None:
    params = params_of(client, "zeus", text="Lesion: bright, round; cyst: dark")
    texts = {(i["sequence"], i["label"]): i["text"] for i in params["instructions"]}
    assert texts == {
        ("T2", "lesion"): "bright, round", ("FLAIR", "lesion"): "bright, round",
        ("T2", "cyst"): "dark", ("FLAIR", "cyst"): "dark",
    }  # fmt: skip
    assert {(i["model"], i["notice"]) for i in params["instructions"]} == {("user", "")}


def test_a_text_for_one_sequence_and_a_choice_of_sequences_go_together(
    client: MONAILabelClient,
) -> None:
    params = params_of(client, "zeus", text="lesion @ FLAIR: bright", sequences="FLAIR")
    texts = {i["label"]: i["text"] for i in params["instructions"]}
    assert texts == {"lesion": "bright", "cyst": "look for it"}


def test_plain_words_are_for_the_clicked_label_and_else_refused(server: running.Server) -> None:
    status, reason = answer(server, "alpha", "zeus", text="bright")
    assert status == 400
    assert "lesion: bright and round; cyst: dark with a bright rim" in reason
    status, _ = answer(server, "alpha", foreground=[[9, 4, 2]], label="cyst", text="dark")
    assert status == 200


def test_the_answer_to_a_click_tells_the_user_s_text(client: MONAILabelClient) -> None:
    click = {"foreground": [[9, 4, 2]], "label": "cyst", "user": "writer"}
    told = params_of(client, "clicks", text="dark", sequences="T2", **click)
    assert [(i["label"], i["text"], i["model"]) for i in told["instructions"]] == [
        ("cyst", "dark", "user"), ("cyst", "dark", "user"),
    ]  # fmt: skip
    assert told["sequences"] == ["T2"]


ROW: dict[str, Any] = {
    "roi": [8, 11, 6, 6, 2, 2],
    "label": "lesion",
}  # its voxels 10 and 11 are cyst
FREE = [[8, 6, 2], [9, 6, 2]]
WHOLE = [*FREE, [10, 6, 2], [11, 6, 2]]


@pytest.mark.parametrize("model", ["clicks", "clicks_3d"])
def test_a_new_mask_takes_no_voxel_of_another_label_of_the_final_label(
    server: running.Server, model: str
) -> None:
    _, mask = answer(server, "alpha", model, user=f"kept {model}", **ROW)
    assert marked(mask) == FREE
    _, mask = answer(server, "alpha", model, user=f"kept {model}", overwrite=True, **ROW)
    assert marked(mask) == WHOLE
    assert set(np.unique(voxels(mask))) == {0, 1}


def test_a_new_mask_replaces_its_own_label_of_the_final_label(server: running.Server) -> None:
    _, mask = answer(server, "alpha", user="own", **{**ROW, "label": "cyst"})
    assert marked(mask) == WHOLE


def test_segments_are_kept_on_the_grid_of_another_sequence(server: running.Server) -> None:
    """A voxel of FLAIR covers 2×2 of T2: the cyst lies in its voxels 5 and 6, 3 and 4."""
    roi = [3, 6, 3, 3, 2, 2]
    _, mask = answer(server, "alpha/FLAIR", user="flair", roi=roi, label="lesion")
    assert marked(mask) == [[3, 3, 2], [4, 3, 2]]


def test_edit_shows_the_kept_segments_that_its_client_does_not_name(
    server: running.Server,
) -> None:
    click = {"lesion": [[9, 6, 2], [10, 6, 2]], "user": "edit"}
    _, mask = answer(server, "alpha", "edit", **click)
    assert voxels(mask)[9, 6, 2] == 1
    assert (voxels(mask)[CYST] == 2).all()
    assert (voxels(mask) == 2).sum() == CYST_VOXELS


def test_edit_leaves_the_segments_to_a_client_that_names_them(server: running.Server) -> None:
    """Slicer sends a list for each label. It keeps its own segments, which may be newer."""
    lists: dict[str, Any] = {
        "lesion": [[9, 6, 2], [10, 6, 2]], "cyst": [], "background": [], "label": "lesion"
    }  # fmt: skip
    _, mask = answer(server, "alpha", "edit", user="slicer", **lists)
    assert marked(mask) == [[9, 6, 2]]
    _, mask = answer(server, "alpha", "edit", user="slicer", overwrite=True, **lists)
    assert marked(mask) == [[9, 6, 2], [10, 6, 2]]


def test_without_the_name_of_the_label_nothing_is_kept(server: running.Server) -> None:
    """The OHIF that comes with MONAI Label sends no label with such points, and keeps its own."""
    _, mask = answer(server, "alpha", foreground=[[10, 6, 2]], background=[], user="ohif")
    assert marked(mask) == [[10, 6, 2]]


@pytest.mark.parametrize("overwrite", [False, True])
def test_scribbles_keep_the_segments_that_come_with_them(
    client: MONAILabelClient, tmp_path: Path, overwrite: bool
) -> None:
    """The whole segmentation of Slicer comes along; a scribble reaches into the cyst of it."""
    names = ("lesion", "cyst", "background_scribbles", "foreground_scribbles")
    info = [{"name": name, "id": number} for number, name in enumerate(names, start=1)]
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[14:16, 8, 2], drawn[13, 8, 2] = 2, 4
    path = save(tmp_path / "scribbles.nii.gz", drawn, affine())
    params = {
        "label_info": info, "selected_label_name": "lesion", "most_slices": 0,
        "user": f"scribbles {overwrite}", "overwrite": overwrite, "roi": [13, 14, 8, 8, 2, 2],
    }  # fmt: skip
    file, told = client.infer("scribbles", "bravo", params, label_in=str(path))
    expected = [[13, 8, 2], [14, 8, 2]] if overwrite else [[13, 8, 2]]
    assert marked(nib.load(file)) == expected
    assert told["label_names"] == {"lesion": 1}


@pytest.mark.parametrize("model", ["clicks_3d", "edit"])
def test_a_sent_segmentation_keeps_its_other_labels(
    client: MONAILabelClient, tmp_path: Path, model: str
) -> None:
    sent = np.zeros(SHAPE, np.uint8)
    sent[13, 8, 2], sent[14, 8, 2], sent[3, 3, 4] = 1, 2, 2
    path = save(tmp_path / "sent.nii.gz", sent, affine())
    names = [{"name": "lesion", "id": 1}, {"name": "cyst", "id": 2}]
    params = {
        "roi": [13, 15, 8, 8, 2, 2], "label": "lesion", "label_info": names, "user": f"sent {model}"
    }  # fmt: skip
    file, _ = client.infer(model, "bravo", params, label_in=str(path))
    mask = voxels(nib.load(file))
    assert [mask[13, 8, 2], mask[14, 8, 2], mask[15, 8, 2], mask[3, 3, 4]] == [1, 2, 1, 2]


def test_the_automatic_model_answers_with_its_own_mask_alone(server: running.Server) -> None:
    status, mask = answer(server, "alpha", "zeus")
    assert status == 200
    assert not voxels(mask).any()  # untrained, the fake model finds nothing


def test_options_that_a_client_sends_as_it_got_them_change_nothing(
    server: running.Server, client: MONAILabelClient
) -> None:
    config = client.info()["models"]["clicks_3d"]["config"]
    click = {"foreground": [[9, 4, 2]], "label": "lesion", "user": "untouched"}
    _, mask = answer(server, "alpha", "clicks_3d", **config, **click)
    assert marked(mask) == [[9, 4, 2]]
    assert json.loads(json.dumps(config)) == config
