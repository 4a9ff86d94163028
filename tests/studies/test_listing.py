"""The JSON of the studies carries everything that a user asks about them, and any name."""

import json
import os
from pathlib import Path

from zeus_app.studies.candidates import source_of
from zeus_app.studies.listing import studies_as_json
from zeus_app.types import StudyFiles, StudyProblem, UnusedImage

ODD = Path("s", os.fsdecode(b"M\xfcller.nii.gz"))


def test_a_study_is_listed_with_its_evidence_and_what_is_not_used() -> None:
    study = StudyFiles(
        "p1",
        {"T2": source_of(Path("s/p1/t2.nii.gz")), "FLAIR": source_of(Path("s/p1/fl.nii.gz"))},
        "patient-1f3a9c2b04d7",
        evidence={"T2": "the word t2"},
        unused=(UnusedImage((Path("s/p1/swi.nii.gz"), Path("s/p1/x")), "SWI is no sequence"),),
        masks=(Path("s/p1/seg.nii.gz"),),
    )
    problem = StudyProblem("p2", (Path("s/p2"),), "is an empty folder")
    assert studies_as_json({"p1": study}, [problem], labelled={"p1"}) == {
        "studies": {
            "p1": {
                "labelled": True,
                "patient": "patient-1f3a9c2b04d7",
                "sequences": {"T2": ["s/p1/t2.nii.gz"], "FLAIR": ["s/p1/fl.nii.gz"]},
                "evidence": {"T2": "the word t2"},
                "unused": [
                    {"files": ["s/p1/swi.nii.gz", "s/p1/x"], "reason": "SWI is no sequence"}
                ],
                "masks": ["s/p1/seg.nii.gz"],
            }
        },
        "problems": [{"study": "p2", "files": ["s/p2"], "reason": "is an empty folder"}],
    }


def test_every_name_that_is_no_utf8_is_shown_with_escapes() -> None:
    odd = str(ODD)
    study = StudyFiles(
        "p1", {"T2": source_of(ODD)}, odd, {"T2": odd}, (UnusedImage((ODD,), odd),), (ODD,)
    )
    text = json.dumps(studies_as_json({"p1": study}, [StudyProblem(odd, (ODD,), odd)]))
    text.encode()
    assert text.count(r"s/M\\xfcller.nii.gz") == 9
    assert "udcfc" not in text


def test_a_study_of_a_pacs_that_was_not_opened_is_told_apart() -> None:
    study = StudyFiles("1.2.3", {}, "patient-1f3a9c2b04d7", study_uid="1.2.3")
    listed = studies_as_json({"1.2.3": study}, [])["studies"]["1.2.3"]
    assert listed["opened"] is False
    assert listed["sequences"] == {}
