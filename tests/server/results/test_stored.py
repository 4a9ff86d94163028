"""Results on disk: whole or not at all, found by their UIDs, never deleted."""

import json
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from zeus_app.errors import UnknownNameError
from zeus_app.server.results.stored import Delivery, Result, ResultObject, StoredResults

STUDY = "../1.2"  # a UID of a hostile file, which is no file name
SEG, SR = ResultObject("SEG", "1.2.1", "1.2.10"), ResultObject("SR", "1.2.2", "1.2.20")
RESULT = Result("hash", "final", "3", "MANUAL", "no clicks", "anna", 5.0, STUDY, (SEG, SR))


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    return StoredResults(tmp_path / "results")


def data_set(uid: str) -> pydicom.Dataset:
    data = pydicom.Dataset()
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", uid
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.is_little_endian, data.is_implicit_VR = True, False
    return data


def add(stored: StoredResults, result: Result = RESULT) -> None:
    stored.add(result, {one.sop_uid: data_set(one.sop_uid) for one in result.objects})


def test_a_stored_result_comes_back_with_its_files(stored: StoredResults) -> None:
    add(stored)
    assert stored.of_study(STUDY) == [RESULT]
    assert pydicom.dcmread(stored.file(STUDY, "1.2.2")).SOPInstanceUID == "1.2.2"
    assert {uid: len(files) for uid, files in stored.series(STUDY).items()} == {
        "1.2.10": 1,
        "1.2.20": 1,
    }


def test_a_new_server_reads_what_an_earlier_one_stored(
    stored: StoredResults, tmp_path: Path
) -> None:
    add(stored)
    assert StoredResults(tmp_path / "results").of_study(STUDY) == [RESULT]


def test_a_study_without_results_has_none_and_gets_no_folder(
    stored: StoredResults, tmp_path: Path
) -> None:
    assert stored.of_study(STUDY) == []
    assert stored.series(STUDY) == {}
    assert not (tmp_path / "results").exists()


def test_objects_without_their_json_file_count_for_nothing(
    stored: StoredResults, tmp_path: Path
) -> None:
    add(stored)
    (json_file,) = tmp_path.rglob("*.json")
    json_file.unlink()  # a process that was killed has not written it yet
    assert stored.of_study(STUDY) == []
    assert stored.series(STUDY) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"identity": 3}'])
def test_a_damaged_json_file_hides_its_own_result_alone(
    stored: StoredResults, tmp_path: Path, text: str
) -> None:
    add(stored)
    (json_file,) = tmp_path.rglob("*.json")
    json_file.with_name("9.json").write_text(text)
    assert stored.of_study(STUDY) == [RESULT]


@pytest.mark.parametrize("uid", ["1.2.3", "../1.2.1", "", "1.2.1.dcm", "1" * 5000, "1.2.1\0"])
def test_an_unknown_uid_is_told_and_is_never_a_path(stored: StoredResults, uid: str) -> None:
    add(stored)
    with pytest.raises(UnknownNameError, match="GET /zeus/results/"):
        stored.file(STUDY, uid)


def test_a_uid_of_another_study_is_unknown(stored: StoredResults) -> None:
    add(stored)
    with pytest.raises(UnknownNameError):
        stored.file("bert", "1.2.1")


def test_a_removed_file_is_told_and_its_mask_can_be_made_again(
    stored: StoredResults,
) -> None:
    add(stored)
    assert stored.with_identity(STUDY, "hash") == RESULT
    stored.file(STUDY, "1.2.1").unlink()
    with pytest.raises(UnknownNameError, match="POST /zeus/results"):
        stored.file(STUDY, "1.2.1")
    assert stored.with_identity(STUDY, "hash") is None


def test_what_the_pacs_said_is_kept_for_one_object(stored: StoredResults) -> None:
    add(stored)
    sent = Delivery("sent", "the PACS stored it", 7.0)
    stored.update(STUDY, "1.2.2", lambda _: sent)
    (result,) = stored.of_study(STUDY)
    assert [one.delivery for one in result.objects] == [Delivery(), sent]


def test_a_problem_is_kept_by_tag_until_a_result_is_made(stored: StoredResults) -> None:
    stored.note_problem(STUDY, "final", {"reason": "a disk is full", "ts": 1.0})
    stored.note_problem(STUDY, "original", {"reason": "no DICOM", "ts": 2.0})
    stored.note_problem(STUDY, "final", None)
    assert stored.problems(STUDY) == {"original": {"reason": "no DICOM", "ts": 2.0}}


def test_no_patient_is_named_in_the_json_file(stored: StoredResults, tmp_path: Path) -> None:
    add(stored)
    (json_file,) = tmp_path.rglob("*.json")
    assert set(json.loads(json_file.read_text())) == {
        "identity", "tag", "version", "made_by", "basis", "author", "ts", "study_uid", "objects",
        "notes",
    }  # fmt: skip
