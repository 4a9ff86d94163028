"""When results are made, and when they are sent."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.server.results.dicom_study import (
    CYST,
    LESION,
    STUDY_UID,
    Archive,
    DicomServer,
    labels,
)

LABEL = labels(LESION, CYST)


def listed(server: DicomServer) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = server.results.listed(server.study)["results"]
    return results


def answer(server: DicomServer, **params: object) -> dict[str, Any]:
    return {"label": "/tmp/zeus.nii.gz", "tag": "original", "params": params}


def test_a_result_is_a_seg_and_an_sr_that_tell_where_they_come_from(tmp_path: Path) -> None:
    server = DicomServer(tmp_path)
    server.submit(LABEL, user="anna")
    made = server.results.make(server.study)
    assert made.is_new
    entries = listed(server)
    assert [entry["kind"] for entry in entries] == ["SEG", "SR"]
    for entry in entries:
        assert entry["tag"] == "final"
        assert entry["version"] == "1"
        assert entry["made_by"] == "MANUAL"
        assert entry["author"] == "anna"
        assert entry["sent"] is False
        assert "no PACS" in entry["reason"]
        assert "send" not in entry


def test_the_same_mask_is_made_once_and_a_new_version_again(tmp_path: Path) -> None:
    server = DicomServer(tmp_path)
    server.submit(LABEL)
    first = server.results.make(server.study)
    again = server.results.make(server.study)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.result == again.result
    server.submit(LABEL)
    assert server.results.make(server.study).is_new
    assert [entry["version"] for entry in listed(server)] == ["1", "1", "2", "2"]


def test_the_same_model_run_again_makes_no_second_result(tmp_path: Path) -> None:
    server = DicomServer(tmp_path)
    server.predict(LABEL)
    assert server.results.make(server.study, "original").is_new
    server.predict(LABEL)
    assert not server.results.make(server.study, "original").is_new
    server.predict(labels(LESION))
    assert server.results.make(server.study, "original").is_new


def test_a_new_text_of_the_user_makes_a_new_result(tmp_path: Path) -> None:
    server = DicomServer(tmp_path)
    server.submit(LABEL)
    server.results.make(server.study)
    texts = {"instructions": {"T2/lesion": "bright"}}
    server.ctx.datastore.update_label_info(server.study, "final", texts)
    assert server.results.make(server.study).is_new


@pytest.mark.parametrize(
    ("setting", "after_label", "after_prediction"),
    [("ask", [], []), ("labels", ["final"], ["final"]), ("all", ["final"], ["final", "original"])],
)
def test_the_setting_says_which_masks_become_results_by_themselves(
    tmp_path: Path, setting: str, after_label: list[str], after_prediction: list[str]
) -> None:
    server = DicomServer(tmp_path, dicom_results=setting)
    server.submit(LABEL)
    server.results.after_label(server.study)
    server.results.wait()
    assert [entry["tag"] for entry in listed(server)[::2]] == after_label
    server.predict(LABEL)
    resolved = server.ctx.datastore.catalogue.resolve(server.study)
    server.results.after_answer(resolved, answer(server, checkpoint="v0001"))
    server.results.wait()
    assert [entry["tag"] for entry in listed(server)[::2]] == after_prediction


def test_answers_to_clicks_and_unsaved_predictions_become_no_results(tmp_path: Path) -> None:
    server = DicomServer(tmp_path, dicom_results="all")
    server.predict(LABEL)
    resolved = server.ctx.datastore.catalogue.resolve(server.study)
    server.results.after_answer(resolved, answer(server, clicks={}))
    unsaved = answer(server, checkpoint="v0001", not_saved="a full disk")
    server.results.after_answer(resolved, unsaved)
    server.results.wait()
    assert listed(server) == []


def test_an_answer_that_was_saved_as_a_final_label_becomes_a_result(tmp_path: Path) -> None:
    server = DicomServer(tmp_path, dicom_results="labels")
    server.submit(LABEL, model="zeus")
    resolved = server.ctx.datastore.catalogue.resolve(server.study)
    saved = {"label": server.study, "tag": "final", "params": {"checkpoint": "v0001"}}
    server.results.after_answer(resolved, saved)
    server.results.wait()
    assert [entry["tag"] for entry in listed(server)] == ["final", "final"]


def test_a_result_that_cannot_be_made_is_listed_until_it_can(tmp_path: Path) -> None:
    server = DicomServer(tmp_path, dicom_results="labels")
    server.results.after_label(server.study)  # there is no label
    server.results.wait()
    (problem,) = server.results.listed(server.study)["problems"]
    assert problem["tag"] == "final"
    assert "no mask tagged 'final'" in problem["reason"]
    server.submit(LABEL)
    server.results.make(server.study)
    assert server.results.listed(server.study)["problems"] == []


def test_nothing_is_written_to_the_pacs_unless_told(tmp_path: Path) -> None:
    pacs = Archive()
    server = DicomServer(tmp_path, pacs)
    server.submit(LABEL)
    server.results.make(server.study)
    assert pacs.arrived == []
    assert all("pacs_write is false" in entry["reason"] for entry in listed(server))


def test_a_result_is_sent_once_the_seg_before_the_sr(tmp_path: Path) -> None:
    pacs = Archive()
    server = DicomServer(tmp_path, pacs, pacs_write="true")
    server.submit(LABEL)
    made = server.results.make(server.study).result
    server.results.make(server.study)
    assert pacs.arrived == [one.sop_uid for one in made.objects]
    assert [entry["sent"] for entry in listed(server)] == [True, True]


def test_results_that_the_pacs_lost_are_offered_again_and_not_sent_by_themselves(
    tmp_path: Path,
) -> None:
    pacs = Archive()
    server = DicomServer(tmp_path, pacs, pacs_write="true")
    server.submit(LABEL)
    seg, sr = server.results.make(server.study).result.objects
    pacs.kept = {sr.sop_uid}
    server.results.compare_segs_with_pacs(STUDY_UID, (), time.time())
    first, second = listed(server)
    assert (first["delivery"], second["delivery"]) == ("gone", "sent")
    assert "no longer has it" in first["reason"]
    server.results.make(server.study)
    assert len(pacs.arrived) == 2
    assert first["send"] == f"/zeus/results/{server.study}/{seg.sop_uid}/send"
    assert server.results.send(server.study, seg.sop_uid)["sent"] is True
    assert pacs.arrived[2:] == [seg.sop_uid]


def test_a_seg_that_came_back_counts_as_sent(tmp_path: Path) -> None:
    server = DicomServer(tmp_path, Archive(), pacs_write="true")
    server.submit(LABEL)
    seg, _ = server.results.make(server.study).result.objects
    server.results.compare_segs_with_pacs(STUDY_UID, (), time.time())
    server.results.compare_segs_with_pacs(STUDY_UID, {seg.series_uid}, time.time())
    assert [entry["delivery"] for entry in listed(server)] == ["sent", "sent"]


def test_a_list_that_was_asked_for_before_the_sending_says_nothing(tmp_path: Path) -> None:
    server = DicomServer(tmp_path, Archive(), pacs_write="true")
    server.submit(LABEL)
    asked = time.time()
    server.results.make(server.study)
    server.results.compare_segs_with_pacs(STUDY_UID, (), asked)
    assert [entry["delivery"] for entry in listed(server)] == ["sent", "sent"]


def test_results_that_were_never_sent_are_not_gone(tmp_path: Path) -> None:
    server = DicomServer(tmp_path, Archive())
    server.submit(LABEL)
    server.results.make(server.study)
    server.results.compare_segs_with_pacs(STUDY_UID, (), time.time())
    assert [entry["delivery"] for entry in listed(server)] == ["unsent", "unsent"]


def test_removing_a_label_keeps_its_results(tmp_path: Path) -> None:
    server = DicomServer(tmp_path)
    server.submit(LABEL)
    server.results.make(server.study)
    server.ctx.datastore.remove_label(server.study, "final")
    assert len(listed(server)) == 2


def test_results_follow_their_study_to_a_folder_of_another_name(tmp_path: Path) -> None:
    server = DicomServer(tmp_path)
    server.submit(LABEL)
    server.results.make(server.study)
    (tmp_path / "studies" / "anna").rename(tmp_path / "studies" / "bert")
    renamed = DicomServer(tmp_path)
    assert renamed.study == "bert"
    assert [entry["kind"] for entry in listed(renamed)] == ["SEG", "SR"]
