"""At a start, what was named after a Patient ID is renamed, and nothing of it is lost.

Until version 0.2.0 DICOM files that lie in the studies folder itself were a study named after its
Patient ID.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.studies.tiny_files import dicom_series, nifti
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.context import ServerContext, open_context
from zeus_app.training.splits import read_sides
from zeus_app.upgrade.older_state import bring_up_to_date

PATIENT_ID, FORMER_ID = "PAT 08.15", "PAT_08.15"
UID = "1.2.826.0.1.3680043"
ID = "study-82dabb195577"  # sha256 of UID
MODEL = "reference-small-zeus-hybrid"


def make_studies(folder: Path) -> None:
    """One examination, with files in the studies folder itself."""
    dicom_series(folder, "t2_tra", study_uid=UID, PatientID=PATIENT_ID, PatientName="Roe^Anna")


def opened(folder: Path) -> ServerContext:
    conf = {"target": "prostate", "state": str(folder / "state")}
    return open_context(str(folder / "studies"), conf)


def migrate(context: ServerContext) -> None:
    known = context.datastore.catalogue
    bring_up_to_date(
        context.state, known.former, studies=known.studies, pseudonyms=known.pseudonyms
    )


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def write(path: Path, content: object = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def make_old_state(root: Path) -> None:
    """What version 0.2.0 wrote about the study."""
    target = root / "prostate"
    label = target / "labels" / "final" / FORMER_ID
    write(label / "v0001.nii.gz", "first")
    write(label / "v0001.json", {"name": f"{FORMER_ID}.nii.gz", "ts": 5, "reader": "ann"})
    write(target / MODEL / "originals" / FORMER_ID / "v0001" / "answer.json", {"answered": 7})
    write(target / MODEL / "originals" / f".removed-170815-{FORMER_ID}" / "v0001" / "answer.json")
    write(target / "clicks" / "0a1b" / f"{FORMER_ID}.json", ["step"])
    write(target / "clicks" / "0a1b" / FORMER_ID / "prior.nii.gz")
    write(target / "info" / f"{FORMER_ID}.json", {"quality": "good"})
    write(target / "volumes" / f"{FORMER_ID}_T2.nii.gz")
    write(target / "volumes" / "labels" / f"{FORMER_ID}_T2_final.nii.gz")
    write(target / "splits.json", {PATIENT_ID: "validation", "bob": "train"})
    write(target / MODEL / "checkpoints" / "v0001.json", {
        "patients": [PATIENT_ID], "studies": [FORMER_ID], "settings": {"exclude": FORMER_ID},
    })  # fmt: skip


@pytest.fixture
def context(tmp_path: Path) -> ServerContext:
    make_studies(tmp_path / "studies")
    make_old_state(tmp_path / "state")
    return opened(tmp_path)


def everything(root: Path) -> str:
    """All names and contents of a state folder."""
    content = (path.read_bytes() for path in root.rglob("*") if path.is_file())
    return "\n".join(names(root)) + b"\n".join(content).decode("latin1")


def test_all_files_of_the_study_follow_its_new_id(context: ServerContext) -> None:
    migrate(context)
    target, originals = f"prostate/labels/final/{ID}", f"prostate/{MODEL}/originals"
    assert names(context.state.root) == sorted([
        f"{target}/v0001.nii.gz", f"{target}/v0001.json",
        f"{originals}/{ID}/v0001/answer.json",
        f"{originals}/.removed-170815-{ID}/v0001/answer.json",
        f"prostate/clicks/0a1b/{ID}.json", f"prostate/clicks/0a1b/{ID}/prior.nii.gz",
        f"prostate/info/{ID}.json", "prostate/splits.json",
        f"prostate/{MODEL}/checkpoints/v0001.json", "pseudonyms.key", "prostate/study_ids",
        ".older-state.lock",
    ])  # fmt: skip
    label = json.loads((context.state.labels / "final" / ID / "v0001.json").read_text())
    assert label == {"name": f"{ID}.nii.gz", "ts": 5, "reader": "ann"}


def test_no_name_and_no_content_holds_the_patient_id(context: ServerContext) -> None:
    assert PATIENT_ID in everything(context.state.root)
    migrate(context)
    for text in (PATIENT_ID, FORMER_ID, "Roe"):
        assert text not in everything(context.state.root)


def test_the_patient_keeps_the_side_of_the_split(context: ServerContext) -> None:
    migrate(context)
    patient = context.datastore.catalogue.studies[ID].patient
    assert read_sides(context.state.splits)[patient] == "validation"
    info = json.loads((context.state.checkpoints / "v0001.json").read_text())
    assert info == {"patients": [patient], "studies": [ID], "settings": {"exclude": ID}}


def test_an_id_shared_by_many_keeps_its_side_too(tmp_path: Path) -> None:
    dicom_series(tmp_path / "studies", "t2_tra", study_uid=UID, PatientID="ANON")
    write(tmp_path / "state" / "prostate" / "splits.json", {"ANON": "validation"})
    context = opened(tmp_path)
    migrate(context)
    patient = context.datastore.catalogue.studies[ID].patient
    assert read_sides(context.state.splits) == {patient: "validation"}


def test_a_second_start_changes_nothing(context: ServerContext) -> None:
    migrate(context)
    before = everything(context.state.root)
    migrate(context)
    assert everything(context.state.root) == before


def test_a_start_that_was_killed_is_completed(
    context: ServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    renames: list[Path] = []
    rename = Path.rename

    def killed_at_the_third(path: Path, target: Path) -> Path:
        renames.append(path)
        if len(renames) == 3:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            migrate(context)
    assert FORMER_ID in everything(context.state.root)
    migrate(context)
    assert FORMER_ID not in everything(context.state.root)
    assert json.loads((context.state.info / f"{ID}.json").read_text()) == {"quality": "good"}


@pytest.mark.parametrize("is_of_another_study", [False, True])
def test_clicks_stored_under_half_of_the_id_follow_unless_another_study_has_this_name(
    tmp_path: Path, is_of_another_study: bool
) -> None:
    make_studies(tmp_path / "studies")
    if is_of_another_study:
        dicom_series(tmp_path / "studies" / "PAT_08", "t2_tra", study_uid="1.9")
    clicks = tmp_path / "state" / "prostate" / "clicks" / "0a1b"
    write(clicks / "PAT_08.json", ["step"])
    migrate(opened(tmp_path))
    assert names(clicks) == ["PAT_08.json" if is_of_another_study else f"{ID}.json"]


def test_clients_may_still_send_the_former_id(context: ServerContext) -> None:
    migrate(context)
    catalogue, store = context.datastore.catalogue, context.datastore
    assert catalogue.resolve(FORMER_ID).study == ID
    assert catalogue.resolve(f"{FORMER_ID}/T2").image_id == f"{ID}/T2"
    assert store.list_images() == [ID]
    assert store.get_labeled_images() == [ID]
    assert store.get_label_info(FORMER_ID, "final")["reader"] == "ann"
    with pytest.raises(UnknownNameError, match="unknown study 'PAT_08'"):
        catalogue.resolve("PAT_08")


def test_files_under_the_new_id_are_not_replaced(context: ServerContext) -> None:
    write(context.state.info / f"{ID}.json", {"quality": "newer"})
    migrate(context)
    notes = {path.name: json.loads(path.read_text()) for path in context.state.info.iterdir()}
    kept = f"{ID}+former-1.json"
    assert notes == {f"{ID}.json": {"quality": "newer"}, kept: {"quality": "good"}}
    assert FORMER_ID not in everything(context.state.root)


def test_of_two_studies_of_one_patient_none_takes_over_the_old_labels(tmp_path: Path) -> None:
    make_studies(tmp_path / "studies")
    other = ("x.dcm", "y.dcm", "z.dcm")
    dicom_series(tmp_path / "studies", "t2_tra", study_uid="1.9", PatientID=PATIENT_ID, names=other)
    make_old_state(tmp_path / "state")
    context = opened(tmp_path)
    migrate(context)
    store = context.datastore
    assert len(store.list_images()) == 2
    assert store.get_labeled_images() == []
    (orphan,) = store.orphaned_labels
    assert orphan.id == store.catalogue.pseudonyms.of(FORMER_ID)
    with pytest.raises(UnknownNameError):
        store.catalogue.resolve(FORMER_ID)


def test_a_folder_that_the_user_named_like_the_patient_keeps_its_files(tmp_path: Path) -> None:
    make_studies(tmp_path / "studies")
    dicom_series(tmp_path / "studies" / FORMER_ID, "t2_tra", study_uid="1.9")
    make_old_state(tmp_path / "state")
    context = opened(tmp_path)
    migrate(context)
    assert context.datastore.get_labeled_images() == [FORMER_ID]


@pytest.mark.parametrize("own", ["a", "1", "v0001", "json"])
def test_a_short_patient_id_renames_no_other_file(tmp_path: Path, own: str) -> None:
    dicom_series(tmp_path / "studies", "t2_tra", study_uid=UID, PatientID=own)
    target = tmp_path / "state" / "prostate"
    originals = target / MODEL / "originals"
    others = [target / "labels" / "final" / f"{own}-b" / "v0001.nii.gz",
              originals / f".removed-111-other-{own}" / "v0001" / "answer.json",
              target / "info" / f"b.{own}.json"]  # fmt: skip
    for path in others:
        write(path)
    write(originals / f".removed-111-{own}" / "v0001" / "answer.json")
    write(target / "info" / f"{own}.json")
    migrate(opened(tmp_path))
    assert all(path.exists() for path in others)
    assert (originals / f".removed-111-{ID}" / "v0001" / "answer.json").exists()
    assert (target / "info" / f"{ID}.json").exists()


def test_half_written_files_are_swept(context: ServerContext) -> None:
    left = context.state.labels / "final" / ".writing-0123.nii.gz"
    left.write_bytes(b"half")
    migrate(context)
    assert not left.exists()


def test_a_state_that_cannot_be_written_ends_the_start_with_the_reason(
    context: ServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(28, os.strerror(28), str(context.state.root / FORMER_ID))

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(InputError, match="No space left on device") as error:
        migrate(context)
    assert FORMER_ID not in str(error.value)


def test_what_an_older_version_took_for_a_number_follows_the_id_as_it_is_written(
    tmp_path: Path,
) -> None:
    nifti(tmp_path / "studies" / "t2.nii.gz")
    entry = "- {id: %s, sequences: {T2: t2.nii.gz}}\n"
    (tmp_path / "studies" / "cases.yaml").write_text(entry % "010" + entry % "9")
    state = tmp_path / "state" / "prostate"
    write(state / "labels" / "final" / "8" / "v0001.json", {"name": "8.nii.gz"})
    write(state / "info" / "9.json", {"quality": "good"})
    context = opened(tmp_path)
    pseudonym = context.datastore.catalogue.pseudonyms.of
    write(state / "splits.json", {pseudonym("8"): "validation", pseudonym("9"): "train"})
    write(state / MODEL / "checkpoints" / "v0001.json", {
        "patients": ["8", pseudonym("9")], "studies": ["8", "9"], "note": "fewer than 8 patients",
    })  # fmt: skip
    migrate(context)
    label = state / "labels" / "final" / "010" / "v0001.json"
    assert json.loads(label.read_text()) == {"name": "010.nii.gz"}
    assert (state / "info" / "9.json").exists()
    assert read_sides(state / "splits.json") == {
        pseudonym("010"): "validation", pseudonym("9"): "train",
    }  # fmt: skip
    assert json.loads((state / MODEL / "checkpoints" / "v0001.json").read_text()) == {
        "patients": sorted([pseudonym("010"), pseudonym("9")]), "studies": ["010", "9"],
        "note": "fewer than 8 patients",
    }  # fmt: skip
    assert context.datastore.catalogue.resolve("8").study == "010"
