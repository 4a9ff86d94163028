"""Sending to a PACS that refuses, has the object already, or is forbidden."""

from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.server.results.dicom_study import (
    LESION,
    STUDY_UID,
    Archive,
    DicomServer,
    labels,
)
from tests.server.running import free_port
from zeus_app.commands.hospital.orthanc import Login, Orthanc
from zeus_app.dicom.web.client import DicomWeb
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.results.sending import ResultPacs
from zeus_app.settings.pacs import PacsSettings, pacs_access


def made(folder: Path, pacs: ResultPacs | None, **conf: str) -> tuple[DicomServer, str, str]:
    """A server with a result, and the UIDs of its SEG and SR."""
    server = DicomServer(folder, pacs, **conf)
    server.submit(labels(LESION))
    seg, sr = server.results.make(server.study).result.objects
    return server, seg.sop_uid, sr.sop_uid


def states(server: DicomServer) -> list[Any]:
    return [entry["delivery"] for entry in server.results.listed(server.study)["results"]]


def test_a_failed_sending_keeps_the_files_says_why_and_is_tried_again_when_asked(
    tmp_path: Path,
) -> None:
    pacs = Archive()
    pacs.fault = "its disk is full"
    server, seg, sr = made(tmp_path, pacs, pacs_write="true")
    first, second = server.results.listed(server.study)["results"]
    assert (first["delivery"], second["delivery"]) == ("failed", "failed")
    assert "its disk is full" in first["reason"]
    assert "its SEG is not in the PACS" in second["reason"]
    assert server.results.file(server.study, seg).exists()
    server.results.make(server.study)
    assert pacs.arrived == [seg]  # the SR refers to it, and nothing is tried again by itself
    pacs.fault = ""
    assert server.results.send(server.study, seg)["sent"] is True
    assert server.results.send(server.study, sr)["sent"] is True
    assert pacs.arrived == [seg, seg, sr]
    assert states(server) == ["sent", "sent"]


def test_an_object_that_the_pacs_has_already_is_no_error(tmp_path: Path) -> None:
    pacs = Archive()
    server, seg, sr = made(tmp_path, pacs)  # not allowed to send
    pacs.kept = {seg, sr}
    pacs.fault = "it has an object with this UID already"
    allowed = DicomServer(tmp_path, pacs, pacs_write="true")
    assert allowed.results.send(server.study, seg)["sent"] is True
    assert pacs.arrived == [seg]


def test_an_object_that_was_sent_is_not_sent_again_while_the_pacs_has_it(tmp_path: Path) -> None:
    pacs = Archive()
    server, seg, _ = made(tmp_path, pacs, pacs_write="true")
    count = len(pacs.arrived)
    assert server.results.send(server.study, seg)["reason"] == "the PACS has it already"
    assert len(pacs.arrived) == count


def test_a_result_made_while_writing_was_forbidden_is_sent_when_asked(tmp_path: Path) -> None:
    pacs = Archive()
    server, seg, _ = made(tmp_path, pacs)
    allowed = DicomServer(tmp_path, pacs, pacs_write="true")
    assert pacs.arrived == []
    assert allowed.results.send(server.study, seg)["sent"] is True


@pytest.mark.parametrize("pacs", [None, Archive()], ids=["no PACS", "not allowed"])
def test_sending_without_a_pacs_or_without_leave_is_refused(
    tmp_path: Path, pacs: Archive | None
) -> None:
    server, seg, _ = made(tmp_path, pacs)
    with pytest.raises(InputError, match="pacs_write=true"):
        server.results.send(server.study, seg)
    assert pacs is None or pacs.arrived == []


def test_an_unknown_object_cannot_be_sent(tmp_path: Path) -> None:
    server, _, _ = made(tmp_path, Archive(), pacs_write="true")
    with pytest.raises(UnknownNameError):
        server.results.send(server.study, "1.2.3")


@pytest.mark.orthanc
def test_orthanc_stores_both_objects_as_they_are_and_keeps_one_of_each(tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs", port=free_port(), login=Login("zeus", "s3cret")) as orthanc:
        secrets = {"ZEUS_PACS_USER": "zeus", "ZEUS_PACS_PASSWORD": "s3cret"}
        pacs = DicomWeb(pacs_access(orthanc.dicomweb_url, PacsSettings(), secrets))
        server, seg, _ = made(tmp_path, pacs, pacs_write="true")
        assert states(server) == ["sent", "sent"]
        assert server.results.send(server.study, seg)["reason"] == "the PACS has it already"
        series = orthanc.get(f"/dicom-web/studies/{STUDY_UID}/series")
        assert {item["00080060"]["Value"][0] for item in series} == {"SEG", "SR"}
        for entry in server.results.listed(server.study)["results"]:
            (stored,) = pacs.retrieve_series(STUDY_UID, entry["series_uid"])
            assert stored == pydicom.dcmread(server.results.file(server.study, entry["sop_uid"]))


@pytest.mark.orthanc
def test_an_orthanc_that_refuses_the_credentials_is_told_with_its_status(tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs", port=free_port(), login=Login("zeus", "s3cret")) as orthanc:
        pacs = DicomWeb(pacs_access(orthanc.dicomweb_url, PacsSettings(), {}))
        server, _, _ = made(tmp_path, pacs, pacs_write="true")
        assert states(server) == ["failed", "failed"]
        assert "answers 401" in server.results.listed(server.study)["results"][0]["reason"]
