"""A state of version 0.3.0 and older opens under the ids of now, and nothing of it is lost.

`old_state` writes files exactly as commit 2ea7737 wrote them, for the studies that it found: a
folder for each sequence was a study, and so was each prefix of the files in it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.studies.tiny_files import dicom_series, nifti
from zeus_app.labels.files import read_label
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.studies.older_state import bring_up_to_date
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.splits import read_sides

MODEL = "reference-small-zeus-hybrid"
USER = "8d3adf6abf23f3a5"  # the hash of "ann"
SHAPES = {"T1": (4, 4, 3), "T2": (4, 4, 4), "FLAIR": (5, 5, 2)}
MULLER = "Muller-fa6a2313"
FILES = {
    "EGD-0001_1_T1_NIFTI": {"T1": "EGD-0001/1_T1/NIFTI/T1"},
    "EGD-0001_4_FLAIR_NIFTI": {"FLAIR": "EGD-0001/4_FLAIR/NIFTI/FLAIR"},
    "IXI-T1_IXI002": {"T1": "IXI-T1/IXI002-T1"},
    "IXI-T2_IXI002": {"T2": "IXI-T2/IXI002-T2"},
    "IXI-T1_IXI012": {"T1": "IXI-T1/IXI012-T1"},
    "IXI-T2_IXI012": {"T2": "IXI-T2/IXI012-T2"},
    "Muller": {"FLAIR": "Müller/FLAIR", "T1": "Müller/T1"},
}
"""Id of then -> sequence -> file."""
SIDES = {
    "EGD-0001": "train", "Muller": "validation",
    "IXI-T1_IXI002": "validation", "IXI-T2_IXI002": "train",
    "IXI-T1_IXI012": "validation", "IXI-T2_IXI012": "validation",
}  # fmt: skip
NOW = ["EGD-0001", "IXI002", "IXI012", MULLER]


def affine(study: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Each patient lies elsewhere, the two scans of one at one place."""
    at = np.eye(4)
    at[0, 3] = sum(map(ord, study.removeprefix("IXI-T1_").removeprefix("IXI-T2_")[:8]))
    return at


def image(root: Path, study: str, sequence: str, file: str) -> None:
    array = np.arange(np.prod(SHAPES[sequence]), dtype=np.int16).reshape(SHAPES[sequence])
    nifti(root / f"{file}.nii.gz", array, affine(study))


def mask(path: Path, study: str, sequence: str, voxels: int) -> None:
    array = np.zeros(SHAPES[sequence], np.uint8)
    array.flat[:voxels] = 1
    nifti(path, array, affine(study))


def write(path: Path, content: object, seconds: float = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
    if seconds:
        os.utime(path, (seconds, seconds))


def write_study(target: Path, study: str, sequence: str, at: int) -> None:
    """All that commit 2ea7737 stored of a study: two versions of a label, and the rest once."""
    for number in (1, 2):
        label = target / "labels" / "final" / study / f"v000{number}"
        mask(label.with_suffix(".nii.gz"), study, sequence, voxels=at + number)
        info = {"reader": f"{study} {number}", "name": f"{study}.nii.gz", "sequence": sequence,
                "instructions": {}, "ts": 1000 * number + at}  # fmt: skip
        write(label.with_suffix(".json"), info)
    for checkpoint in ("untrained", "v0001"):
        prediction = target / MODEL / "originals" / study / checkpoint
        for name in ("union.nii.gz", f"sequences/{sequence}.nii.gz"):
            mask(prediction / name, study, sequence, voxels=at)
        answer = {
            "checkpoint": checkpoint,
            "used": [sequence],
            "answered": 1000.5 + at,
            "of": study,
        }
        write(prediction / "answer.json", answer)
    points = {"foreground": [[at, 1, 1]], "background": [], "box": None}
    step = {"labels": {"tumour": points}, "sequence": sequence, "at": [at, 1, 1]}
    write(target / "clicks" / USER / f"{study}.json", [step], 1000 + at)
    write(target / "clicks" / USER / study / "prior.nii.gz", study, 1000 + at)
    write(target / "info" / f"{study}.json", {"seen": study, study: True}, 1000 + at)
    write(target / "info" / "strategies" / f"{study}.json", {study: {"ts": at}}, 1000 + at)


def old_state(root: Path) -> None:
    """Studies, and a state of theirs."""
    target = root / "state" / "brain_tumour"
    for at, (study, files) in enumerate(FILES.items(), start=1):
        for sequence, file in files.items():
            image(root / "studies", study, sequence, file)
        write_study(target, study, next(iter(files)), at)
    write(target / "splits.json", SIDES)
    info = {
        "version": "v0001", "created": "2026-11-26T14:22:48+00:00", "epoch": 1, "score": 0.5,
        "studies": [*FILES][:4], "validation": [*FILES][4:], "fitted_to": {},
        "patients": ["EGD-0001", "IXI-T1_IXI002", "IXI-T2_IXI002"], "parent": "untrained",
        "left_out": {"IXI-T2_IXI002": "IXI-T2_IXI002: no label"}, "note": "", "epochs": [],
        "settings": {"exclude": "Muller, IXI-T1_IXI012"}, "seconds": 0.0, "identity": "",
    }  # fmt: skip
    checkpoints = Checkpoints(target / MODEL / "checkpoints")
    write(checkpoints.folder / "v0001.json", info)
    checkpoints.save(checkpoints.folder / "v0001.pt", {"w": torch.ones(2)})
    write(checkpoints.folder / "served.json", {"version": "v0001"})
    as_tuples = {name: tuple(v) if isinstance(v, list) else v for name, v in info.items()}
    checkpoints.save(checkpoints.resume_path, {
        "identity": "x", "info": as_tuples, "model": {"w": torch.ones(2)}, "optimizer": {},
        "seconds": 1.0, "epochs": [], "run": {},
    })  # fmt: skip


def opened(root: Path, target: str = "brain_tumour") -> ServerContext:
    conf = {"target": target, "state": str(root / "state"), "decoder": "sam"}
    return open_context(str(root / "studies"), conf)


def start(root: Path, target: str = "brain_tumour") -> ServerContext:
    context = opened(root, target)
    bring_up_to_date(context.state, context.datastore.catalogue)
    return context


def content(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def readers(context: ServerContext, study: str) -> list[str]:
    return [one.info["reader"] for one in context.datastore.history.versions(study, "final")]


@pytest.fixture
def context(tmp_path: Path) -> ServerContext:
    old_state(tmp_path)
    return start(tmp_path)


def patient(context: ServerContext, study: str) -> str:
    return context.datastore.catalogue.studies[study].patient


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
                bring_up_to_date(context.state, context.datastore.catalogue)
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


def two_of_one_name(root: Path, shapes: Mapping[str, str], drawn_on: str) -> None:
    """Müller and Muller, with an image of a sequence each, and a label of the id that both had."""
    for folder, sequence in shapes.items():
        image(root / "studies", "Muller", sequence, f"{folder}/{sequence}")
    target = root / "state" / "brain_tumour"
    write_study(target, "Muller", drawn_on, 1)
    write(target / "splits.json", {"Muller": "train", "bob": "validation"})
    info = {"studies": ["Muller"], "patients": ["Muller"]}
    write(target / MODEL / "checkpoints" / "v0001.json", info)


@pytest.mark.parametrize(("drawn_on", "owner"), [("T1", MULLER), ("FLAIR", "Muller")])
def test_of_two_patients_with_one_former_id_a_label_goes_to_the_one_on_whose_images_it_lies(
    tmp_path: Path, drawn_on: str, owner: str
) -> None:
    two_of_one_name(tmp_path, {"Müller": "T1", "Muller": "FLAIR"}, drawn_on)
    context = start(tmp_path)
    assert context.datastore.get_labeled_images() == [owner]
    assert context.datastore.predictions.newest(owner) is not None


def test_where_it_cannot_be_known_the_log_tells(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    two_of_one_name(tmp_path, {"Müller": "T1", "Muller": "T1"}, "T1")
    context = start(tmp_path)
    assert context.datastore.get_labeled_images() == ["Muller"]
    assert f"the studies Muller, {MULLER} had the id Muller in earlier versions" in caplog.text
    caplog.clear()
    start(tmp_path)
    assert caplog.text == ""


def test_a_model_may_have_been_trained_on_each_of_two_patients_with_one_former_id(
    tmp_path: Path,
) -> None:
    two_of_one_name(tmp_path, {"Müller": "T1", "Muller": "FLAIR"}, "T1")
    context = start(tmp_path)
    of_each = [patient(context, study) for study in ("Muller", MULLER)]
    path = context.state.checkpoints / "v0001.json"
    info = json.loads(path.read_text())
    assert info == {"studies": ["Muller", MULLER], "patients": sorted(of_each)}
    assert {read_sides(context.state.splits)[one] for one in of_each} == {"train"}
    # What is stored from now on names each study by its own id.
    write(path, {"studies": ["Muller"], "patients": [of_each[0]]})
    start(tmp_path)
    assert json.loads(path.read_text()) == {"studies": ["Muller"], "patients": [of_each[0]]}


def test_of_two_examinations_with_one_patient_id_the_grid_tells_whose_label_it_is(
    tmp_path: Path,
) -> None:
    names = ("x.dcm", "y.dcm", "z.dcm")
    high = [(0, 0, z) for z in (100, 103, 106)]
    folder = tmp_path / "studies"
    dicom_series(folder, "T1", study_uid="1.8", PatientID="P 7")
    dicom_series(folder, "T1", study_uid="1.9", PatientID="P 7", positions=high, names=names)
    context = opened(tmp_path)
    catalogue = context.datastore.catalogue
    on_high = {
        study: grid
        for study in catalogue.studies
        if (grid := catalogue.grid(catalogue.resolve(study))).affine_ras[2, 3] == 100
    }
    ((study, grid),) = on_high.items()
    label = context.state.labels / "final" / "P_7" / "v0001"
    nifti(label.with_suffix(".nii.gz"), np.ones(grid.shape, np.uint8), grid.affine_ras)
    write(label.with_suffix(".json"), {"name": "P_7.nii.gz", "ts": 5})
    bring_up_to_date(context.state, catalogue)
    assert context.datastore.get_labeled_images() == [study]
    assert not [name for name in content(context.state.root) if "P_7" in name]


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
