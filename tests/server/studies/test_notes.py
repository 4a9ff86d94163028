"""Notes of clients on images and labels: they inform, and change nothing else."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server.conftest import lesion_file, make_study
from zeus_app.errors import InputError
from zeus_app.server.context import open_context
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.studies.labelled import labelled_study
from zeus_app.targets import load_target

AT_ONCE = 20
HOSTILE = {
    "path": "/etc/passwd", "name": "../../../evil.nii.gz", "checksum": "x", "ts": 1, "id": "bravo",
    "strategy": {"random": {"ts": 2**60}}, "sequences": ["x"], "reference": "x", "info": "x",
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> StudyDatastore:
    make_study(tmp_path / "studies", "alpha", 1)
    state = str(tmp_path / "state")
    store = open_context(str(tmp_path / "studies"), {"state": state}).datastore
    store.save_label("alpha", str(lesion_file(tmp_path / "l.nii.gz")), "final", {"reader": "anna"})
    return store


def test_a_note_on_an_image_replaces_nothing_that_a_client_loads(store: StudyDatastore) -> None:
    before = store.get_image_info("alpha")
    store.update_image_info("alpha", HOSTILE)
    assert store.get_image_info("alpha") == {**before, "info": HOSTILE}
    assert store.json()["objects"]["alpha"]["image"]["info"] == {"strategy": {}, "info": HOSTILE}


def test_the_choice_of_a_strategy_is_no_note(store: StudyDatastore) -> None:
    store.record_sample("alpha", "first", "anna")
    info = store.get_image_info("alpha")
    assert info["strategy"]["first"]["client_id"] == "anna"
    assert info["info"] == {}


def test_a_note_on_a_label_replaces_no_entry_of_zeus(store: StudyDatastore) -> None:
    before = store.get_label_info("alpha", "final")
    own = {"ts": "x", "name": "../x", "sequence": 3, "score": "x", "restored_from": 7}
    store.update_label_info("alpha", "final", {**own, "comment": "good"})
    assert store.get_label_info("alpha", "final") == {**before, "comment": "good"}


@pytest.mark.parametrize("kind", ["image", "label"])
def test_twenty_notes_at_once_are_twenty_notes(store: StudyDatastore, kind: str) -> None:
    def add(n: int) -> None:
        if kind == "image":
            store.update_image_info("alpha", {f"note{n}": n})
        else:
            store.update_label_info("alpha", "final", {f"note{n}": n})

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(add, range(AT_ONCE)))
    info = store.get_image_info("alpha")["info"]
    info = info if kind == "image" else store.get_label_info("alpha", "final")
    assert {key for key in info if key.startswith("note")} == {f"note{n}" for n in range(AT_ONCE)}


@pytest.mark.parametrize("instructions", ["x", {"ADC/lesion": "x"}, {"lesion": "x" * 3000}])
def test_instructions_in_a_note_are_checked_as_those_of_a_label(
    store: StudyDatastore, tmp_path: Path, instructions: object
) -> None:
    with pytest.raises(InputError):
        store.update_label_info("alpha", "final", {"instructions": instructions})
    file = str(lesion_file(tmp_path / "l.nii.gz"))
    with pytest.raises(InputError):
        store.save_label("alpha", file, "final", {"instructions": instructions})
    assert len(store.history.versions("alpha", "final")) == 1


def test_valid_instructions_in_a_note_are_learnt_from(store: StudyDatastore) -> None:
    store.update_label_info("alpha", "final", {"instructions": {"T2/lesion": "bright"}})
    study = labelled_study("alpha", store, load_target("phantom"))
    assert study.guidance.texts == {("T2", "lesion"): "bright"}


@pytest.mark.parametrize(
    "entry",
    ["NaN", r'"\ud800"', '"x"', "1e999", '{"random": {"ts": "x"}}', "[" * 50 + "]" * 50, "null"],
)
@pytest.mark.parametrize("key", ["x", "instructions", "strategy", "ts", "path"])
def test_bad_notes_of_older_versions_break_no_list_and_no_training(
    store: StudyDatastore, tmp_path: Path, key: str, entry: str
) -> None:
    store.update_image_info("alpha", {"reader": "anna"})
    state = tmp_path / "state" / "phantom"
    for file in (
        state / "info" / "alpha.json",
        state / "labels" / "final" / "alpha" / "v0001.json",
    ):
        file.write_text(f'{{"{key}": {entry}}}')
    for listed in (
        store.json(), store.get_image_info("alpha"), store.get_label_info("alpha", "final"),
    ):  # fmt: skip
        json.dumps(listed, allow_nan=False).encode()
    assert labelled_study("alpha", store, load_target("phantom")).guidance.texts == {}
    assert store.get_labeled_images() == ["alpha"]


def test_an_upload_with_a_note_that_is_too_large_is_not_added(
    store: StudyDatastore, tmp_path: Path
) -> None:
    file = str(lesion_file(tmp_path / "t2.nii.gz"))
    with pytest.raises(InputError, match="bytes"):
        store.add_image("big", file, {"x": "x" * 200_000})
    assert store.list_images() == ["alpha"]
