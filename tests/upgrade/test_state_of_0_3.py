"""A state of version 0.3.0 and older opens under the ids of now, and nothing of it is lost."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.studies.tiny_files import nifti
from tests.upgrade.state_of_2ea7737 import (
    MULLER,
    NOW,
    SHAPES,
    SIDES,
    USER,
    content,
    image,
    mask,
    old_state,
    opened,
    patient,
    start,
    upgrade,
    write,
    write_study,
)
from zeus_app.commands.main import app
from zeus_app.labels.files import read_label
from zeus_app.server.context import ServerContext
from zeus_app.training.splits import read_sides
from zeus_app.upgrade.older_state import upgrade_once


def readers(context: ServerContext, study: str) -> list[str]:
    return [one.info["reader"] for one in context.datastore.history.versions(study, "final")]


@pytest.fixture
def context(tmp_path: Path) -> ServerContext:
    old_state(tmp_path)
    return start(tmp_path)


def test_every_study_is_labelled_and_no_label_is_an_orphan(context: ServerContext) -> None:
    store = context.datastore
    assert store.list_images() == NOW
    assert store.get_labeled_images() == NOW
    assert store.problems == ()


def test_all_versions_stand_in_the_order_of_their_times(context: ServerContext) -> None:
    first, second = "EGD-0001_1_T1_NIFTI", "EGD-0001_4_FLAIR_NIFTI"
    order = [f"{first} 1", f"{second} 1", f"{first} 2", f"{second} 2"]
    versions = context.datastore.history.versions("EGD-0001", "final")
    assert readers(context, "EGD-0001") == order
    assert [one.number for one in versions] == [1, 2, 3, 4]
    assert [one.info["sequence"] for one in versions] == ["T1", "FLAIR", "T1", "FLAIR"]
    assert {one.info["name"] for one in versions} == {"EGD-0001.nii.gz"}
    assert [int(read_label(one.path).array.sum()) for one in versions] == [2, 3, 3, 4]
    assert readers(context, MULLER) == ["Muller 1", "Muller 2"]


def test_a_label_lies_on_the_grid_that_it_was_drawn_on(context: ServerContext) -> None:
    store = context.datastore
    assert store.final_label("IXI002").array.shape == SHAPES["T2"]
    # On the image's own grid it is the stored file; on the other one it is resampled.
    assert Path(store.get_label_uri("IXI002/T2", "final")).name == "v0004.nii.gz"
    assert read_label(Path(store.get_label_uri("IXI002/T1", "final"))).array.shape == SHAPES["T1"]


def test_the_newest_prediction_counts_and_the_older_one_is_kept(context: ServerContext) -> None:
    predictions = context.datastore.predictions.of_study("EGD-0001")
    found = [(one.checkpoint, one.params["used"], one.path.parent.name) for one in predictions]
    assert sorted(found) == [
        ("untrained", ["FLAIR"], "untrained"), ("untrained", ["T1"], "untrained+former-1"),
        ("v0001", ["FLAIR"], "v0001"), ("v0001", ["T1"], "v0001+former-1"),
    ]  # fmt: skip
    newest = context.datastore.predictions.newest("EGD-0001")
    assert newest is not None
    assert newest.params["used"] == ["FLAIR"]


def test_the_newest_clicks_count_and_the_older_ones_are_kept(context: ServerContext) -> None:
    (step,) = context.click_history.steps("ann", "EGD-0001")
    assert (step.sequence, step.at) == ("FLAIR", (2, 1, 1))
    clicks = content(context.state.clicks / USER)
    assert json.loads(clicks["EGD-0001+former-1.json"])[0]["sequence"] == "T1"
    assert json.loads(clicks["EGD-0001/prior.nii.gz"]) == "EGD-0001_4_FLAIR_NIFTI"
    assert json.loads(clicks["EGD-0001/prior+former-1.nii.gz"]) == "EGD-0001_1_T1_NIFTI"


def test_notes_of_all_former_studies_are_shown(context: ServerContext) -> None:
    info = context.datastore.get_image_info("EGD-0001")
    first, second = "EGD-0001_1_T1_NIFTI", "EGD-0001_4_FLAIR_NIFTI"
    assert info["info"] == {"seen": second, first: True, second: True}
    assert info["strategy"] == {first: {"ts": 1}, second: {"ts": 2}}
    notes = content(context.state.info)
    assert json.loads(notes["EGD-0001+former-1.json"]) == {"seen": first, first: True}


def test_patients_keep_their_side_and_a_patient_on_both_validates_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old_state(tmp_path)
    context = start(tmp_path)
    assert read_sides(context.state.splits) == {
        patient(context, "EGD-0001"): "train", patient(context, MULLER): "validation",
        patient(context, "IXI002"): "train", patient(context, "IXI012"): "validation",
    }  # fmt: skip
    assert "1 patients of target brain_tumour were on both sides" in caplog.text
    assert "IXI" not in caplog.text


def test_pseudonyms_of_former_patients_keep_their_side_too(tmp_path: Path) -> None:
    old_state(tmp_path)
    of = opened(tmp_path).datastore.catalogue.pseudonyms.of
    splits = tmp_path / "state" / "brain_tumour" / "splits.json"
    write(splits, {of(name): side for name, side in SIDES.items()})
    context = start(tmp_path)
    assert read_sides(splits)[patient(context, "IXI002")] == "train"
    assert len(read_sides(splits)) == len(NOW)


def test_checkpoints_name_the_studies_and_patients_of_now(context: ServerContext) -> None:
    info = context.checkpoints.info("v0001")
    assert info.studies == ("EGD-0001", "IXI002")
    assert info.validation == ("IXI012", MULLER)
    assert set(info.patients) == {patient(context, "EGD-0001"), patient(context, "IXI002")}
    assert info.left_out == {"IXI002": "IXI002: no label"}
    assert info.settings == {"exclude": f"{MULLER},IXI012"}
    interrupted = context.checkpoints.interrupted()
    assert interrupted is not None
    assert interrupted["info"]["studies"] == ("EGD-0001", "IXI002")


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    old_state(tmp_path)
    start(tmp_path)
    before = content(tmp_path / "state")
    start(tmp_path)
    assert content(tmp_path / "state") == before


class _KilledError(BaseException):
    pass


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise instead of the n-th rename, removal or new folder."""
    left = [None] * step

    def killed(change: Any) -> Any:
        def changed(path: Path, *args: Any, **kwargs: Any) -> Any:
            if ".writing-" not in path.name or change is Path.replace:
                if not left:
                    raise _KilledError
                left.pop()
            return change(path, *args, **kwargs)

        return changed

    for name in ("rename", "replace", "unlink", "rmdir", "mkdir"):
        monkeypatch.setattr(Path, name, killed(getattr(Path, name)))


def test_a_start_that_was_killed_anywhere_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_state(tmp_path / "whole")
    whole = start(tmp_path / "whole")
    for step in range(3, 1000, 13):
        root = tmp_path / str(step)
        old_state(root)
        context = opened(root)
        with monkeypatch.context() as patched:
            kill_at(step, patched)
            try:
                upgrade(context)
            except _KilledError:
                pass
            else:
                assert step > 100
                return
        again = start(root)
        for study in NOW:
            assert readers(again, study) == readers(whole, study), step
        assert set(content(again.state.info)) == set(content(whole.state.info)), step
        assert set(content(again.state.clicks)) == set(content(whole.state.clicks)), step
        for name, text in content(whole.state.predictions).items():
            assert content(again.state.predictions)[name] == text, (step, name)
        sides = sorted(read_sides(again.state.splits).values())
        assert sides == ["train", "train", "validation", "validation"]
        assert again.checkpoints.info("v0001").studies == ("EGD-0001", "IXI002")
        assert again.datastore.problems == ()


def test_a_client_may_still_send_a_former_id(context: ServerContext, tmp_path: Path) -> None:
    catalogue, store = context.datastore.catalogue, context.datastore
    assert catalogue.resolve("EGD-0001_1_T1_NIFTI").image_id == "EGD-0001/T1"
    assert catalogue.resolve("EGD-0001_4_FLAIR_NIFTI/FLAIR").image_id == "EGD-0001/FLAIR"
    assert catalogue.resolve("Muller").image_id == MULLER
    assert catalogue.resolve("Muller/T1").image_id == f"{MULLER}/T1"
    assert Path(store.get_image_uri("EGD-0001_1_T1_NIFTI")).name == "T1.nii.gz"
    assert store.get_label_info("IXI-T1_IXI002", "final")["reader"] == "IXI-T2_IXI002 2"
    mask(tmp_path / "new.nii.gz", "EGD-0001", "T1", voxels=7)
    assert store.save_label("EGD-0001_1_T1_NIFTI", str(tmp_path / "new.nii.gz"), "final", None) == (
        "EGD-0001"
    )
    assert store.get_label_info("EGD-0001", "final")["sequence"] == "T1"


def test_the_state_of_another_target_stays(tmp_path: Path) -> None:
    old_state(tmp_path)
    os.rename(tmp_path / "state" / "brain_tumour", tmp_path / "state" / "other")
    before = content(tmp_path / "state" / "other" / "labels")
    start(tmp_path)
    assert content(tmp_path / "state" / "other" / "labels") == before


def test_ids_of_a_case_list_are_followed(tmp_path: Path) -> None:
    image(tmp_path / "studies", "listed", "T1", "t1")
    (tmp_path / "studies" / "cases.yaml").write_text("- {id: 010, sequences: {T1: t1.nii.gz}}\n")
    target = tmp_path / "state" / "brain_tumour"
    write_study(target, "8", "T1", 1)
    write(target / "splits.json", {"8": "validation"})
    context = start(tmp_path)
    assert readers(context, "010") == ["8 1", "8 2"]
    assert read_sides(context.state.splits) == {patient(context, "010"): "validation"}
    assert context.datastore.catalogue.resolve("8").image_id == "010"


def test_clicks_whose_file_was_named_without_the_end_of_the_id_are_followed(
    tmp_path: Path,
) -> None:
    image(tmp_path / "studies", "a", "T1", "BraTS_1/BraTS_1_t1.nii/a_t1")
    image(tmp_path / "studies", "a", "FLAIR", "BraTS_1/BraTS_1_flair.nii/a_flair")
    clicks = tmp_path / "state" / "brain_tumour" / "clicks" / USER
    write(clicks / "BraTS_1_BraTS_1_t1.json", ["t1"], 5)
    write(clicks / "BraTS_1_BraTS_1_flair.json", ["flair"], 6)
    start(tmp_path)
    assert {name: json.loads(text) for name, text in content(clicks).items()} == {
        "BraTS_1.json": ["flair"], "BraTS_1+former-1.json": ["t1"],
    }  # fmt: skip


@pytest.mark.real
def test_a_real_label_stays_on_the_sequence_that_it_was_drawn_on(tmp_path: Path) -> None:
    source = Path(os.environ["ZEUS_REAL_DATA"]) / "prostate" / "ProstateX-0000"
    for sequence, end in (("T2", "t2w"), ("ADC", "adc"), ("HBV", "hbv")):
        folder = tmp_path / "studies" / "P" / sequence
        folder.mkdir(parents=True)
        name = f"ProstateX-0000_{end}.nii.gz"
        (folder / name).symlink_to(source / name)
    drawn = nib.load(source / "labels" / "ProstateX-0000__csPCa_human_expert-original.nii.gz")
    voxels = np.asarray(drawn.dataobj, np.uint8)
    label = tmp_path / "state" / "prostate" / "labels" / "final" / "P_T2" / "v0001"
    nifti(
        label.with_suffix(".nii.gz"), voxels, nib.load(source / "ProstateX-0000_t2w.nii.gz").affine
    )
    write(label.with_suffix(".json"), {"name": "P_T2.nii.gz", "sequence": "T2", "ts": 5})
    store = start(tmp_path, "prostate").datastore
    assert store.get_labeled_images() == ["P"]
    assert (store.final_label("P").array == voxels).all()
    assert Path(store.get_label_uri("P/T2", "final")).name == "v0001.nii.gz"
    on_adc = read_label(Path(store.get_label_uri("P/ADC", "final"))).array
    assert on_adc.shape == (84, 128, 19)
    assert on_adc.any()


def test_an_import_before_any_server_s_start_finds_the_corrections(tmp_path: Path) -> None:
    old_state(tmp_path)
    mask(tmp_path / "studies" / "EGD-0001" / "seg.nii.gz", "EGD-0001", "T1", voxels=9)
    words = ["import-labels", str(tmp_path / "studies"), "--target", "brain_tumour",
             "--state", str(tmp_path / "state")]  # fmt: skip
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "1 label kept" in result.output
    context = opened(tmp_path)
    assert len(readers(context, "EGD-0001")) == 4
    assert read_sides(context.state.splits)[patient(context, MULLER)] == "validation"


def test_an_upgrade_is_done_once(tmp_path: Path) -> None:
    old_state(tmp_path)
    context = opened(tmp_path)
    upgrade_once(context.state, tmp_path / "studies", context.target)
    write(context.state.labels / "final" / "Muller" / "v0001.json", {})
    upgrade_once(context.state, tmp_path / "studies", context.target)
    assert (context.state.labels / "final" / "Muller").is_dir()
    start(tmp_path)
    assert not (context.state.labels / "final" / "Muller").is_dir()


def test_a_missing_studies_folder_makes_no_state(tmp_path: Path) -> None:
    old_state(tmp_path)
    context = opened(tmp_path)
    state = replace(context.state, root=tmp_path / "new")
    upgrade_once(state, tmp_path / "missing", context.target)
    assert not state.root.exists()
