import time
from pathlib import Path
from typing import cast

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.server.segmentations.archive import SegArchive
from zeus_app.dicom.web.client import DicomWeb
from zeus_app.errors import InputError, PacsAwayError, UnknownNameError
from zeus_app.server.segmentations.records import (
    NOT_SERVED,
    SegmentationRecord,
    SegmentationRecords,
)
from zeus_app.server.segmentations.search import SegmentationSearch


class Taken:
    """Records what would become a label.

    Attributes:
        uids: SOP Instance UID of each SEG that came.
        served: whether Zeus has its study.
    """

    def __init__(self) -> None:
        self.uids: list[str] = []
        self.served = True

    def __call__(self, data: Dataset, *, wanted: bool = False) -> SegmentationRecord:
        self.uids.append(data.SOPInstanceUID)
        reason = "" if data.get("ContentCreatorName") or wanted else "by a program"
        reason = reason if self.served else NOT_SERVED
        return SegmentationRecord(
            data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID, reason=reason
        )


class Scene:
    def __init__(self, folder: Path) -> None:
        self.archive, self.taken = SegArchive(), Taken()
        self._path = folder / "segmentations.json"
        self.told: list[set[str]] = []
        self.search = self.started_again()

    def started_again(self) -> SegmentationSearch:
        self.search = SegmentationSearch(
            cast(DicomWeb, self.archive),
            SegmentationRecords(self._path),
            self.taken,
            tell=lambda _study, series, _asked: self.told.append(set(series)),
            serves=lambda _study: self.taken.served,
        )
        return self.search

    def look(self) -> None:
        self.search.look_now()

    @property
    def gone(self) -> list[bool]:
        return [record.is_gone for record in self.search.records.all()]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def a_seg(study: str = "1.2", series: str = "1.2.7", creator: str = "Reader") -> Dataset:
    data = Dataset()
    data.StudyInstanceUID, data.SeriesInstanceUID = study, series
    data.SOPInstanceUID, data.ContentCreatorName = generate_uid(), creator
    return data


def test_a_new_seg_is_read_once(scene: Scene) -> None:
    data = a_seg()
    scene.archive.add(data)
    scene.look()
    scene.look()
    assert scene.taken.uids == [data.SOPInstanceUID]


def test_a_restart_reads_no_seg_again(scene: Scene) -> None:
    scene.archive.add(a_seg())
    scene.look()
    scene.started_again()
    scene.look()
    assert len(scene.taken.uids) == 1


def test_a_seg_that_is_added_to_a_study_is_read(scene: Scene) -> None:
    scene.archive.add(a_seg())
    scene.look()
    second = a_seg(series="1.2.8")
    scene.archive.add(second)
    scene.look()
    assert scene.taken.uids[1:] == [second.SOPInstanceUID]
    assert scene.archive.asked.count(("retrieve", "1.2.7")) == 1


def test_only_studies_that_have_changed_are_asked_for_their_series(scene: Scene) -> None:
    for number in range(5):
        scene.archive.add(a_seg(study=f"1.{number}", series=f"1.{number}.7"))
    scene.look()
    scene.archive.asked.clear()
    scene.archive.add(a_seg(study="1.3", series="1.3.8"))
    scene.look()
    asked = [("studies", "SEG"), ("series", "1.3"), ("retrieve", "1.3.8")]
    assert scene.archive.asked == asked


def test_nothing_is_asked_while_the_list_of_changes_is_the_same(scene: Scene) -> None:
    scene.archive.change = 7
    scene.archive.add(a_seg())
    scene.look()
    scene.archive.asked.clear()
    scene.look()
    assert scene.archive.asked == []


def test_a_seg_that_an_orthanc_removed_without_a_change_is_gone_a_minute_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.archive.change = 7
    scene.archive.add(a_seg())
    scene.look()
    del scene.archive.series_of["1.2"]["1.2.7"]
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 60)
    scene.look()
    assert scene.gone == [True]


def test_a_seg_that_came_before_its_study_was_listed_is_taken_once_it_is(scene: Scene) -> None:
    scene.archive.change = 7
    scene.archive.add(a_seg())
    scene.taken.served = False
    for _ in range(2):
        scene.look()
    assert len(scene.taken.uids) == 1
    scene.taken.served = True
    for _ in range(2):
        scene.look()
    assert [record.reason for record in scene.search.records.all()] == [""]
    assert len(scene.taken.uids) == 2


def test_whoever_stored_segs_is_told_which_series_the_pacs_has(scene: Scene) -> None:
    for series in ("1.2.7", "1.2.8"):
        scene.archive.add(a_seg(series=series))
    scene.look()
    del scene.archive.series_of["1.2"]["1.2.7"]
    scene.look()
    assert scene.told == [{"1.2.7", "1.2.8"}, {"1.2.8"}]


def test_a_seg_that_the_pacs_removed_is_told_as_gone(scene: Scene) -> None:
    for series in ("1.2.7", "1.2.8"):
        scene.archive.add(a_seg(series=series))
    scene.look()
    assert scene.gone == [False, False]
    del scene.archive.series_of["1.2"]["1.2.7"]
    scene.look()
    assert sorted(scene.gone) == [False, True]
    scene.archive.series_of["1.2"].clear()
    scene.look()
    assert scene.gone == [True, True]


def test_after_a_pacs_was_away_the_next_look_finds_the_seg(scene: Scene) -> None:
    scene.archive.add(a_seg())
    scene.archive.is_away = True
    with pytest.raises(PacsAwayError):
        scene.look()
    scene.archive.is_away = False
    scene.look()
    assert len(scene.taken.uids) == 1


def test_a_user_takes_a_seg_of_a_program(scene: Scene) -> None:
    data = a_seg(creator="")
    scene.archive.add(data)
    scene.look()
    assert scene.search.records.get(data.SOPInstanceUID).reason == "by a program"
    assert scene.search.take(data.SOPInstanceUID).reason == ""
    assert scene.search.records.get(data.SOPInstanceUID).reason == ""


def test_a_seg_that_is_gone_cannot_be_taken(scene: Scene) -> None:
    data = a_seg(creator="")
    scene.archive.add(data)
    scene.look()
    scene.archive.series_of["1.2"].clear()
    with pytest.raises(InputError, match="which the PACS no longer has"):
        scene.search.take(data.SOPInstanceUID)


def test_an_unknown_seg_cannot_be_taken(scene: Scene) -> None:
    with pytest.raises(UnknownNameError, match=r"1\.9\.9\.9"):
        scene.search.take("1.9.9.9")
