import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
from monailabel.interfaces.datastore import DefaultLabelTag

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.labels.files import read_label
from zeus_app.labels.versions import FINAL, ORIGINAL, LabelHistory
from zeus_app.storage.state import folder_name
from zeus_app.types import Volume

SAVES = 20


def label(value: int) -> Volume:
    return Volume(np.full((2, 2, 2), value, np.uint8), np.eye(4))


@pytest.fixture
def history(tmp_path: Path) -> LabelHistory:
    return LabelHistory(tmp_path)


def test_the_tags_are_monai_label_s_own() -> None:
    assert (DefaultLabelTag.FINAL.value, DefaultLabelTag.ORIGINAL.value) == (FINAL, ORIGINAL)


def test_the_newest_version_counts(history: LabelHistory) -> None:
    history.save("a", "final", label(1), {})
    history.save("a", "final", label(2), {})
    newest = history.newest("a", "final")
    assert newest is not None
    assert newest.number == 2
    assert read_label(newest.path).array.max() == 2


def test_a_version_left_unfinished_by_a_crash_does_not_count(
    history: LabelHistory, tmp_path: Path
) -> None:
    history.save("a", "final", label(1), {})
    (tmp_path / "final" / "a" / "v0002.json").write_text("{}")
    (tmp_path / "final" / "a" / ".writing-x.nii.gz").write_bytes(b"half")
    newest = history.newest("a", "final")
    assert newest is not None
    assert newest.number == 1


def save_many(folder: Path, start: Barrier, value: int) -> None:
    history = LabelHistory(folder)
    start.wait()
    for _ in range(SAVES):
        history.save("a", "final", label(value), {"by": value})


def test_two_processes_never_take_the_same_number(history: LabelHistory, tmp_path: Path) -> None:
    processes = multiprocessing.get_context("fork")
    start = processes.Barrier(2)
    writers = [processes.Process(target=save_many, args=(tmp_path, start, n)) for n in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    versions = history.versions("a", "final")
    assert len(versions) == 2 * SAVES
    assert all(read_label(version.path).array.max() == version.info["by"] for version in versions)


def test_a_number_that_another_process_has_just_taken_is_left_to_it(
    history: LabelHistory, tmp_path: Path
) -> None:
    history.save("a", "final", label(1), {})
    (tmp_path / "final" / "a" / "v0002.json").write_text('{"by": "the other"}')
    assert history.save("a", "final", label(2), {}).number == 3
    assert "the other" in (tmp_path / "final" / "a" / "v0002.json").read_text()


def test_tags_do_not_mix(history: LabelHistory) -> None:
    history.save("a", "draft", label(1), {})
    assert history.newest("a", "final") is None
    assert history.tags() == ["draft"]


def test_a_note_is_added_to_what_is_known(history: LabelHistory) -> None:
    history.save("a", "final", label(1), {"reader": "x"})
    history.update_info("a", "final", {"score": 1.0})
    newest = history.newest("a", "final")
    assert newest is not None
    assert newest.info["reader"] == "x"
    assert newest.info["score"] == 1.0


def test_removing_a_missing_label_is_refused(history: LabelHistory) -> None:
    with pytest.raises(UnknownNameError, match="no label tagged 'final'"):
        history.remove("a", "final")


@pytest.mark.parametrize("tag", ["..", "a/b", "", ".x"])
def test_a_tag_leads_to_no_other_folder(history: LabelHistory, tag: str) -> None:
    with pytest.raises(InputError):
        history.save("a", tag, label(1), {})


def test_the_studies_that_labels_were_submitted_for_are_known(history: LabelHistory) -> None:
    for study in ("anna", "4: b/c~", ".x"):
        history.save(study, "final", label(1), {})
    assert history.studies("final") == {"anna", "4: b/c~", ".x"}


@pytest.mark.parametrize("study", ["..", ".", "a/../b", "/etc", ".hidden"])
def test_a_study_s_folder_is_one_visible_component(study: str) -> None:
    name = folder_name(study)
    assert "/" not in name
    assert not name.startswith(".")


def test_different_studies_have_different_folders() -> None:
    assert len({folder_name(name) for name in ("a b", "a%20b", "a_b", "a/b", "a%2Fb")}) == 5


def add_notes(folder: Path, start: Barrier, reader: str) -> None:
    history = LabelHistory(folder)
    start.wait()
    for n in range(SAVES):
        history.update_info("a", "final", {f"{reader}{n}": n})


def test_no_note_of_two_processes_is_lost(history: LabelHistory, tmp_path: Path) -> None:
    history.save("a", "final", label(1), {})
    processes = multiprocessing.get_context("fork")
    start = processes.Barrier(2)
    writers = [processes.Process(target=add_notes, args=(tmp_path, start, r)) for r in "xy"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    newest = history.newest("a", "final")
    assert newest is not None
    notes = newest.info.keys() - {"ts"}
    assert notes == {f"{reader}{n}" for reader in "xy" for n in range(SAVES)}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"ts": NaN}', r'{"x": "\ud800"}', "[" * 100_000, '{"x": 1e999}']
)
def test_a_damaged_note_of_an_older_version_breaks_nothing(
    history: LabelHistory, tmp_path: Path, text: str
) -> None:
    history.save("a", "final", label(1), {})
    (tmp_path / "final" / "a" / "v0001.json").write_text(text)
    newest = history.newest("a", "final")
    assert newest is not None
    assert newest.info.keys() == {"ts"}
    assert isinstance(newest.info["ts"], int)
    history.update_info("a", "final", {"reader": "x"})  # and it can be noted on again


def test_notes_on_a_label_are_bounded_but_zeus_s_own_entries_are_not(
    history: LabelHistory,
) -> None:
    history.save("a", "final", label(1), {"params": "x" * 500_000})
    history.update_info("a", "final", {"reader": "x" * 100_000})
    with pytest.raises(InputError, match="at most 131072 bytes"):
        history.update_info("a", "final", {"reader2": "x" * 100_000})
    history.update_info("a", "final", {"score": {"dice": 1.0}})
