"""What 3D Slicer's module does in a morning, step by step, with the client that it ships.

The steps share one server and one annotator, and run in this order.
"""

from collections.abc import Callable, Iterator

import pytest
import SimpleITK as sitk
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from tests.server.annotator import Annotator, Answer
from tests.server.conftest import SHAPE, SPACING_MM, affine, head, make_study, save, serving
from tests.waiting import wait_until

VOXEL = [9, 10, 2]
OTHER = [17, 4, 2]
TASK_S = 120


def asks_whether_a_login_is_needed(slicer: Annotator) -> None:
    assert slicer.client.auth_enabled() is False


def reads_what_the_server_can_do(slicer: Annotator) -> None:
    info = slicer.info = slicer.client.info()
    assert {"zeus", "clicks", "clicks_3d", "edit"} <= set(info["models"])
    assert {"first", "random", "drafts"} <= set(info["strategies"])
    assert info["models"]["zeus"]["description"].startswith("Untrained: use clicks")
    assert "Apache-2.0" in info["models"]["zeus"]["description"]  # a tooltip in Slicer
    assert {weight["licence"] for weight in info["weights"]} == {"Apache-2.0"}
    assert info["sequences"]["images"] == {"T2": "STUDY/T2", "FLAIR": "STUDY/FLAIR"}


def takes_the_first_sample(slicer: Annotator) -> None:
    slicer.sample = slicer.client.next_sample("first", {})
    assert slicer.sample["id"] == "alpha"


def takes_a_random_sample(slicer: Annotator) -> None:
    assert slicer.client.next_sample("random", {})["id"] in {"alpha", "bravo"}


def opens_the_sample(slicer: Annotator) -> None:
    image = sitk.ReadImage(slicer.sample["path"])
    assert image.GetSize() == SHAPE
    assert image.GetSpacing() == pytest.approx(SPACING_MM)


def opens_another_sequence_of_the_sample(slicer: Annotator) -> None:
    """In developer mode Slicer shows each strategy's options, and sends what is chosen."""
    options = slicer.client.info()["strategies"]["first"]["config"]
    assert options == {"sequence": ["reference", "T2", "FLAIR"]}
    sample = slicer.client.next_sample("first", {"sequence": "FLAIR"})
    assert sample["id"] == "alpha/FLAIR"
    assert sitk.ReadImage(sample["path"]).GetSize() == (12, 10, 6)
    assert slicer.client.next_sample("first", {"sequence": "reference"})["id"] == "alpha"


def asks_for_a_sequence_that_the_target_lacks(slicer: Annotator) -> None:
    with pytest.raises(MONAILabelClientException):
        slicer.client.next_sample("first", {"sequence": "ADC"})


def lists_the_datastore(slicer: Annotator) -> None:
    assert set(slicer.client.datastore()["objects"]) == {"alpha", "bravo"}


def segments_automatically(slicer: Annotator) -> None:
    assert slicer.infer("zeus").GetSize() == SHAPE


def downloads_the_prediction(slicer: Annotator) -> None:
    file = slicer.client.download_label("alpha", "original")
    assert sitk.ReadImage(file).GetSize() == SHAPE


def clicks_once_in_2d(slicer: Annotator) -> None:
    marked = slicer.marked("clicks", label="lesion", foreground=[VOXEL], background=[])
    assert marked == [VOXEL]


def clicks_with_untouched_options(slicer: Annotator) -> None:
    for model in ("clicks", "clicks_3d"):
        click = {"label": "lesion", "foreground": [VOXEL], "background": []}
        assert slicer.marked(model, **click, **slicer.options(model)) == [VOXEL]


def chooses_a_sequence(slicer: Annotator) -> None:
    params = slicer.options("zeus", sequences="FLAIR")
    _, told = slicer.client.infer("zeus", "alpha", params)
    assert told["used"] == ["FLAIR"]
    _, told = slicer.client.infer("zeus", "alpha", slicer.options("zeus", sequences="all"))
    assert told["used"] == ["T2", "FLAIR"]


def types_a_text(slicer: Annotator) -> None:
    """Slicer keeps the text and sends it each time, until it is cleared."""
    slicer.options("zeus", text="lesion: bright")
    for _ in range(2):
        _, told = slicer.client.infer("zeus", "alpha", slicer.options("zeus"))
        texts = {(i["label"], i["text"], i["model"]) for i in told["instructions"]}
        assert texts == {("lesion", "bright", "user"), ("cyst", "look for it", "fake-llm")}
    slicer.options("zeus", text="")


def types_words_without_a_label(slicer: Annotator) -> None:
    with pytest.raises(MONAILabelClientException) as refused:
        slicer.client.infer("zeus", "alpha", slicer.options("zeus", text="bright"))
    assert "lesion: bright and round" in str(refused.value)
    slicer.options("zeus", text="")


def clicks_with_options(slicer: Annotator) -> None:
    entered = slicer.options("clicks_3d", text="dark", most_slices="0", sequences="T2")
    assert entered == {"text": "dark", "sequences": "T2", "most_slices": "0", "overwrite": False}
    click = {"label": "cyst", "foreground": [OTHER], "background": []}
    assert slicer.marked("clicks_3d", **click, **entered) == [OTHER]
    slicer.options("clicks_3d", text="", most_slices="64", sequences="all")


def clicks_twice_in_2d(slicer: Annotator) -> None:
    marked = slicer.marked("clicks", label="lesion", foreground=[VOXEL, OTHER], background=[])
    assert sorted(marked) == sorted([VOXEL, OTHER])


def clicks_on_the_background(slicer: Annotator) -> None:
    marked = slicer.marked("clicks", label="lesion", foreground=[VOXEL], background=[OTHER])
    assert marked == [VOXEL]


def draws_a_box(slicer: Annotator) -> None:
    roi = [VOXEL[0], VOXEL[0], VOXEL[1], VOXEL[1], VOXEL[2], VOXEL[2]]
    assert slicer.marked("clicks", label="lesion", foreground=[], background=[], roi=roi) == [VOXEL]


def clicks_in_3d(slicer: Annotator) -> None:
    marked = slicer.marked("clicks_3d", label="lesion", foreground=[VOXEL], background=[])
    assert VOXEL in marked


def asks_for_3d_without_a_click(slicer: Annotator) -> None:
    assert (
        slicer.infer("clicks_3d", label="lesion", foreground=[], background=[]).GetSize() == SHAPE
    )


def clicks_another_label_in_3d(slicer: Annotator) -> None:
    assert OTHER in slicer.marked("clicks_3d", label="cyst", foreground=[OTHER], background=[])


def marks_a_slice_in_3d(slicer: Annotator) -> None:
    click = {"foreground": [VOXEL], "background": [], "slice": VOXEL[2]}
    assert VOXEL in slicer.marked("clicks_3d", label="lesion", **click)


def edits_with_points_by_label(slicer: Annotator) -> None:
    assert VOXEL in slicer.marked("edit", lesion=[VOXEL], background=[])


def edits_without_points(slicer: Annotator) -> None:
    assert slicer.infer("edit", lesion=[], background=[]).GetSize() == SHAPE


def saves_a_draft(slicer: Annotator) -> None:
    """Slicer sends no tag: the annotator adds an empty segment called draft."""
    segments = [{"name": "lesion", "idx": 1}, {"name": "cyst", "idx": 2}]
    before = slicer.client.info()["datastore"]["completed"]
    file = slicer.label_file(".nii.gz", value=2)
    answer = slicer.client.save_label(
        "alpha", file, params={"label_info": [*segments, {"name": "draft", "idx": 3}]}
    )
    assert answer == {"image": "alpha", "label": "alpha", "tag": "draft"}
    assert slicer.client.info()["datastore"]["completed"] == before


def is_offered_the_study_of_the_draft_again(slicer: Annotator) -> None:
    assert slicer.client.next_sample("first", {})["id"] == "alpha"
    assert slicer.client.next_sample("drafts", {})["id"] == "alpha"


def finds_the_draft_when_the_study_is_opened(slicer: Annotator) -> None:
    """At Next Sample, Slicer loads the label "original" with these names."""
    labels = slicer.client.datastore()["objects"]["alpha"]["labels"]
    assert labels["original"]["info"]["params"]["label_names"] == {"cyst": 2}
    image = sitk.ReadImage(slicer.client.download_label("alpha", "original"))
    assert int((sitk.GetArrayFromImage(image) == 2).sum()) == 4 * 4 * 2


def loads_the_draft_by_auto_segmentation(slicer: Annotator) -> None:
    task = slicer.client.info()["models"]["draft"]
    assert task["type"] == "segmentation"
    assert VOXEL in slicer.marked("draft")


def submits_a_final_label_which_ends_the_draft(slicer: Annotator) -> None:
    submit(slicer, slicer.label_file(".nii.gz"), [{"name": "lesion", "idx": 1}])
    assert "draft" not in slicer.client.info()["models"]
    assert "draft" not in slicer.client.datastore()["objects"]["alpha"]["labels"]
    assert slicer.client.next_sample("drafts", {}) == {}


def submits_nifti_gz(slicer: Annotator) -> None:
    submit(slicer, slicer.label_file(".nii.gz"), [{"name": "lesion", "idx": 1}])


def submits_nifti(slicer: Annotator) -> None:
    submit(slicer, slicer.label_file(".nii"), [{"name": "lesion", "idx": 1}])


def submits_nrrd_with_another_number(slicer: Annotator) -> None:
    segments = [{"name": "cyst", "idx": 1}, {"name": "lesion", "idx": 2}]
    submit(slicer, slicer.label_file(".nrrd", value=2), segments)


def submits_nrrd_with_segments_in_another_order(slicer: Annotator) -> None:
    segments = [{"name": "lesion", "idx": 2}, {"name": "cyst", "idx": 1}]
    submit(slicer, slicer.label_file(".nrrd", value=2), segments)


def submits_a_segmentation_with_names(slicer: Annotator) -> None:
    submit(slicer, slicer.segmentation_file("lesion"), [])


def submits_a_segment_of_another_name(slicer: Annotator) -> None:
    before = slicer.saved_voxels()
    with pytest.raises(MONAILabelClientException):
        slicer.client.save_label("alpha", slicer.segmentation_file("vessel"), tag="")
    assert slicer.saved_voxels() == before


def submit(slicer: Annotator, file: str, segments: list[Answer]) -> None:
    """Submit the lesion, and read it back."""
    slicer.client.save_label("alpha", file, params={"label_info": segments})
    assert slicer.saved_voxels() == 4 * 4 * 2


def keeps_the_submitted_lesion_while_another_label_is_clicked(slicer: Annotator) -> None:
    """In the final label, VOXEL is lesion and OTHER is free."""
    for model in ("clicks", "clicks_3d"):
        click = {"label": "cyst", "foreground": [OTHER, VOXEL], "background": []}
        assert slicer.marked(model, **click, **slicer.options(model)) == [OTHER]
    lists = {"label": "cyst", "cyst": [OTHER, VOXEL], "lesion": [], "background": []}
    assert slicer.marked("edit", **lists, **slicer.options("edit")) == [OTHER]


def overwrites_the_submitted_lesion(slicer: Annotator) -> None:
    click = {"label": "cyst", "foreground": [OTHER, VOXEL], "background": []}
    for model in ("clicks", "clicks_3d"):
        params = slicer.options(model, overwrite=True)
        assert sorted(slicer.marked(model, **click, **params)) == sorted([VOXEL, OTHER])


def trains_with_the_form_as_shown(slicer: Annotator) -> None:
    shown = slicer.client.info()["trainers"]["zeus"]["config"]
    slicer.client.train_start("zeus", {**shown, "epochs": 2})


def asks_how_the_training_goes(slicer: Annotator) -> None:
    status = slicer.client.train_status(check_if_running=False)
    assert status["status"] in {"SUBMITTED", "RUNNING", "DONE"}


def waits_for_the_training(slicer: Annotator) -> None:
    wait_until(
        lambda: slicer.client.train_status()["status"] in {"DONE", "ERROR"}, timeout_s=TASK_S
    )
    assert slicer.client.train_status()["status"] == "DONE"


def reads_the_statistics(slicer: Annotator) -> None:
    assert slicer.client.info()["train_stats"]["zeus"]["checkpoint"] == "v0001"


def segments_with_what_was_learnt(slicer: Annotator) -> None:
    assert VOXEL in slicer.marked("zeus")


def stops_a_training(slicer: Annotator) -> None:
    slicer.client.train_start("zeus", {"epochs": 100})
    slicer.client.train_stop()
    wait_until(lambda: not slicer.client.train_status(check_if_running=True), timeout_s=TASK_S)


def opens_a_session(slicer: Annotator) -> None:
    image = save(slicer.folder / "scan_t2.nii.gz", head(7), affine())
    slicer.session = slicer.client.create_session(str(image))["session_id"]


def looks_at_the_session(slicer: Annotator) -> None:
    assert slicer.client.get_session(slicer.session)["name"] == slicer.session


def clicks_in_the_session(slicer: Annotator) -> None:
    click = {"label": "lesion", "foreground": [VOXEL], "background": []}
    assert slicer.infer("clicks", slicer.session, **click).GetSize() == SHAPE


def closes_the_session(slicer: Annotator) -> None:
    slicer.client.remove_session(slicer.session)
    with pytest.raises(MONAILabelClientException):
        slicer.client.get_session(slicer.session)


def uploads_an_image(slicer: Annotator) -> None:
    image = save(slicer.folder / "new_t2.nii.gz", head(8), affine())
    assert slicer.client.upload_image(str(image), "new")["image"] == "new"


def asks_for_a_slide(slicer: Annotator) -> None:
    with pytest.raises(MONAILabelClientException):
        slicer.client.wsi_infer("zeus", "alpha")


STEPS: tuple[Callable[[Annotator], None], ...] = (
    asks_whether_a_login_is_needed, reads_what_the_server_can_do, takes_the_first_sample,
    takes_a_random_sample, opens_the_sample, opens_another_sequence_of_the_sample,
    asks_for_a_sequence_that_the_target_lacks, lists_the_datastore, segments_automatically,
    downloads_the_prediction, clicks_once_in_2d, clicks_with_untouched_options,
    chooses_a_sequence, types_a_text, types_words_without_a_label, clicks_with_options,
    clicks_twice_in_2d, clicks_on_the_background, draws_a_box, clicks_in_3d,
    asks_for_3d_without_a_click, clicks_another_label_in_3d, marks_a_slice_in_3d,
    edits_with_points_by_label,
    edits_without_points, saves_a_draft, is_offered_the_study_of_the_draft_again,
    finds_the_draft_when_the_study_is_opened, loads_the_draft_by_auto_segmentation,
    submits_a_final_label_which_ends_the_draft, submits_nifti_gz, submits_nifti,
    submits_nrrd_with_another_number, submits_nrrd_with_segments_in_another_order,
    submits_a_segmentation_with_names, submits_a_segment_of_another_name,
    keeps_the_submitted_lesion_while_another_label_is_clicked, overwrites_the_submitted_lesion,
    trains_with_the_form_as_shown, asks_how_the_training_goes, waits_for_the_training,
    reads_the_statistics, segments_with_what_was_learnt, stops_a_training,
    opens_a_session, looks_at_the_session, clicks_in_the_session, closes_the_session,
    uploads_an_image, asks_for_a_slide,
)  # fmt: skip


@pytest.fixture(scope="module")
def slicer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Annotator]:
    folder = tmp_path_factory.mktemp("slicer")
    for seed, study in enumerate(("alpha", "bravo")):
        make_study(folder / "studies", study, seed)
    for server in serving(folder / "studies", folder / "state"):
        yield Annotator(MONAILabelClient(server.url, tmpdir=str(folder)), folder)


@pytest.mark.parametrize("step", STEPS, ids=[step.__name__ for step in STEPS])
def test_slicer(slicer: Annotator, step: Callable[[Annotator], None]) -> None:
    step(slicer)
