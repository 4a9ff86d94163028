"""Studies that come, change or go while a server runs are found when a client asks, cheaply."""

import logging
import os
import threading
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.server.conftest import affine, head, save
from tests.waiting import wait_until
from zeus_app.errors import InputError
from zeus_app.server.context import open_context
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.studies.file_times import COARSEST_NS
from zeus_app.studies.find import Catalog, find_studies
from zeus_app.targets import Target

FIND = "zeus_app.server.studies.catalogue.find_studies"


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nanoseconds by which the clock is ahead of the files, so that they have settled."""
    shift = [COARSEST_NS + 1]
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + shift[0])
    return shift


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """One entry for each search through the studies folder."""
    done: list[Path] = []

    def counted(root: Path, target: Target, *, skip: Collection[Path]) -> Catalog:
        done.append(root)
        return find_studies(root, target, skip=skip)

    monkeypatch.setattr(FIND, counted)
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path / "studies", "p1")
    return tmp_path / "studies"


@pytest.fixture
def store(folder: Path, ahead: list[int], searches: list[Path]) -> StudyDatastore:
    """A datastore whose state lies in the studies folder, as some users choose."""
    (folder / "state").mkdir()
    conf = {"state": str(folder / "state"), "target": "phantom"}
    opened = open_context(str(folder), conf).datastore
    searches.clear()
    return opened


def add(folder: Path, name: str, seed: int = 1) -> Path:
    return save(folder / name / "T2.nii.gz", head(seed), affine())


def test_a_new_study_is_found_once(
    store: StudyDatastore, folder: Path, searches: list[Path]
) -> None:
    store.look()
    assert searches == []
    add(folder, "p2")
    (folder / "p3").mkdir()
    for _ in range(3):
        store.look()
    assert store.list_images() == ["p1", "p2"]
    assert len(searches) == 1


def test_what_a_server_writes_into_its_state_is_no_change(
    store: StudyDatastore, folder: Path, searches: list[Path]
) -> None:
    (folder / "state" / "phantom" / "info").mkdir(parents=True)
    store.update_image_info("p1", {"quality": "good"})
    store.look()
    assert searches == []


def test_a_removed_study_leaves_the_list_and_a_new_file_joins_its_study(
    store: StudyDatastore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    add(folder, "p2")
    store.look()
    save(folder / "p2" / "FLAIR.nii.gz", head(2), affine())
    (folder / "p1").rename(folder / ".removed")
    store.look()
    assert {n: list(f.sources) for n, f in store.catalogue.studies.items()} == {
        "p2": ["T2", "FLAIR"]
    }
    told = [record.getMessage() for record in caplog.records if "studies:" in record.getMessage()]
    assert told == [
        "Zeus: new studies: p2",
        "Zeus: changed studies: p2",
        "Zeus: gone studies: p1",
    ]


def test_a_file_that_is_still_copied_is_a_problem_until_it_is_complete(
    store: StudyDatastore, folder: Path, searches: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    content = add(folder, "p2").read_bytes()
    path = folder / "p2" / "T2.nii.gz"
    path.write_bytes(content[:100])
    store.look()
    assert [problem.id for problem in store.problems] == ["p2"]
    assert "study p2 cannot be used" in caplog.text
    store.look()
    assert len(searches) == 1
    with path.open("ab") as file:  # the folder's time stays
        file.write(content[100:])
    store.look()
    assert store.problems == ()
    assert store.list_images() == ["p1", "p2"]


def test_a_study_whose_voxels_were_still_copied_is_listed_again_when_they_are_there(
    store: StudyDatastore, folder: Path, searches: list[Path]
) -> None:
    path = add(folder, "p2")
    content = path.read_bytes()
    path.write_bytes(content[:-2000])  # its header is whole
    store.look()
    with pytest.raises(InputError):
        store.catalogue.read(store.catalogue.resolve("p2"))
    add(folder, "p3")
    store.look()
    assert store.list_images() == ["p1", "p3"]  # nothing has changed in p2
    with path.open("ab") as file:
        file.write(content[-2000:])
    store.look()
    assert store.list_images() == ["p1", "p2", "p3"]
    assert store.catalogue.read(store.catalogue.resolve("p2")).volumes
    assert len(searches) == 3


def test_a_damaged_study_costs_no_search_a_request(
    store: StudyDatastore, folder: Path, searches: list[Path], ahead: list[int]
) -> None:
    nan = head(1)
    nan[3, 3, 3] = float("nan")
    save(folder / "p2" / "T2.nii.gz", nan, affine())
    ahead[0] = 0  # the file is so young that it may still be copied
    for _ in range(3):
        store.look()
    with pytest.raises(InputError):
        store.catalogue.read(store.catalogue.resolve("p2"))
    for _ in range(3):
        store.look()
    assert len(searches) == 1
    ahead[0] = COARSEST_NS + 1
    store.look()
    assert len(searches) == 2
    assert store.list_images() == ["p1", "p2"]
    with pytest.raises(InputError):
        store.catalogue.read(store.catalogue.resolve("p2"))
    for _ in range(3):
        store.look()
    assert len(searches) == 2
    assert store.list_images() == ["p1"]
    store.refresh()  # as the user asked
    assert store.list_images() == ["p1", "p2"]


def test_a_list_that_is_edited_in_place_is_read_again(
    store: StudyDatastore, folder: Path, tmp_path: Path
) -> None:
    elsewhere = add(tmp_path / "elsewhere", "x")
    entry = "- {id: %s, sequences: {T2: ../elsewhere/%s/T2.nii.gz}}\n"
    path = folder / "cases.yaml"
    path.write_text(entry % ("one", "x"))
    store.look()
    assert store.list_images() == ["one"]
    with path.open("a") as file:
        file.write(entry % ("two", "y"))
    store.look()
    assert [problem.id for problem in store.problems] == ["two"]
    elsewhere.unlink()  # far from the studies folder
    store.look()
    assert store.list_images() == []


def test_an_upload_during_a_search_stays(
    store: StudyDatastore, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("u1", "u2"):
        store.add_image(name, str(save(tmp_path / f"{name}_t2.nii.gz", head(2), affine())), {})

    def slow(root: Path, target: Target, *, skip: Collection[Path]) -> Catalog:
        found = find_studies(root, target, skip=skip)
        store.remove_image("u1")
        store.add_image("u3", str(save(tmp_path / "u3_t2.nii.gz", head(3), affine())), {})
        return found

    monkeypatch.setattr(FIND, slow)
    add(folder, "p2")
    store.look()
    assert store.list_images() == ["p1", "p2", "u2", "u3"]


def test_a_long_search_is_not_waited_for_and_runs_once(
    store: StudyDatastore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    running: list[int] = []

    def slow(root: Path, target: Target, *, skip: Collection[Path]) -> Catalog:
        running.append(1)
        assert go_on.wait(60)
        return find_studies(root, target, skip=skip)

    monkeypatch.setattr(FIND, slow)
    add(folder, "p2")
    for _ in range(3):
        store._search.look(wait_s=0.05)
    assert store.list_images() == ["p1"]
    go_on.set()
    wait_until(lambda: store.list_images() == ["p1", "p2"])
    assert len(running) == 1


def test_a_studies_folder_that_is_gone_is_told_once_and_found_when_it_is_back(
    store: StudyDatastore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.rename(folder.parent / "unmounted")
    for _ in range(3):
        store.look()
    assert caplog.text.count("no new studies can be found") == 1
    assert store.list_images() == ["p1"]
    add(folder.parent / "unmounted", "p2")
    (folder.parent / "unmounted").rename(folder)
    store.look()
    assert store.list_images() == ["p1", "p2"]


def test_a_fault_of_the_search_reaches_no_client(
    store: StudyDatastore, folder: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(FIND, broken)
    add(folder, "p2")
    for _ in range(3):
        store.look()
    assert caplog.text.count("Traceback") == 1
    assert store.list_images() == ["p1"]


def test_ten_thousand_folders_are_compared_in_a_fraction_of_a_second(
    store: StudyDatastore, folder: Path, searches: list[Path]
) -> None:
    for number in range(10_000):
        os.makedirs(folder / f"{number // 100:03}" / "x" / f"{number:05}")
    store.look()
    wait_until(lambda: store._search._thread is None)
    store._search._rests_until_s = 0
    searches.clear()
    began = time.monotonic()
    store.look()
    assert time.monotonic() - began < 0.5
    assert searches == []
