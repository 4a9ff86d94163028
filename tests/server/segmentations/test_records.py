from pathlib import Path

import pytest

from zeus_app.server.segmentations.records import SegmentationRecord, SegmentationRecords

RECORD = SegmentationRecord(
    "1.1", "1.2", "1.3", study="anna", author="Reader", made_by=("MANUAL",), version=3,
    notes=("a note",), found=5.0,
)  # fmt: skip


def test_records_are_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "segmentations.json"
    SegmentationRecords(path).put(RECORD)
    assert SegmentationRecords(path).all() == [RECORD]


def test_the_state_of_a_searched_study_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "segmentations.json"
    SegmentationRecords(path).close_study("1.3", ("2", "9"), present=["1.2"])
    assert SegmentationRecords(path).searched("1.3") == ("2", "9")


def test_a_damaged_file_loses_no_label_and_all_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "segmentations.json"
    path.write_text('{"segmentations": [')
    assert SegmentationRecords(path).all() == []
    assert "is damaged" in caplog.text


def test_records_are_listed_the_oldest_first(tmp_path: Path) -> None:
    records = SegmentationRecords(tmp_path / "segmentations.json")
    for uid, found in (("1", 3.0), ("2", 1.0), ("3", 2.0)):
        records.put(SegmentationRecord(uid, "1.2", "1.3", found=found))
    assert [record.sop_uid for record in records.all()] == ["2", "3", "1"]
