"""Masks, and files that Zeus does not read, are listed with the study in whose folder they lie."""

from pathlib import Path

from zeus_app.studies.unread import Found, with_masks, with_skipped, with_unread
from zeus_app.types import RejectedStudy, StudyCandidate

ROOT = Path("/root")
ANNA, BOB = ROOT / "anna", ROOT / "bob"


def candidate(folder: Path, name: str = "", prefix: str = "") -> StudyCandidate:
    return StudyCandidate(name or folder.name, folder, {}, prefix=prefix)


def unused(studies: list[Found]) -> dict[str, dict[str, str]]:
    """Study -> unused file -> reason; for a rejected study its own reason."""
    return {
        study.name: {study.files[0].name: study.reason}
        if isinstance(study, RejectedStudy)
        else {image.files[0].name: image.reason for image in study.unused}
        for study in studies
    }


def masks(studies: list[Found]) -> dict[str, list[str]]:
    return {s.name: [p.name for p in s.masks] for s in studies if isinstance(s, StudyCandidate)}


def test_a_file_in_or_below_a_studys_folder_is_listed_with_it() -> None:
    files = {ANNA / "t2.mnc": "MINC", ANNA / "deep" / "er" / "t1.tif": "TIFF"}
    found = with_unread([candidate(ANNA), candidate(BOB)], files, ROOT)
    assert unused(found) == {
        "anna": {"t2.mnc": "t2.mnc: MINC", "t1.tif": "t1.tif: TIFF"}, "bob": {},
    }  # fmt: skip


def test_a_file_that_belongs_to_no_study_is_a_rejected_study() -> None:
    files = {ROOT / "carl" / "t1.mnc": "MINC", ROOT / "x.tif": "TIFF"}
    found = with_unread([candidate(ANNA), candidate(ROOT)], files, ROOT)
    assert unused(found) == {
        "anna": {}, "root": {},
        "t1": {"t1.mnc": "t1.mnc cannot be read: MINC"},
        "x": {"x.tif": "x.tif cannot be read: TIFF"},
    }  # fmt: skip


def test_a_file_in_a_folder_of_several_studies_belongs_to_none() -> None:
    studies = [candidate(ANNA, "a", prefix="a"), candidate(ANNA, "b", prefix="b")]
    found = with_unread(studies, {ANNA / "x.mnc": "MINC"}, ROOT)
    assert unused(found)["x"] == {"x.mnc": "x.mnc cannot be read: MINC"}


def test_a_rejected_study_owns_no_files() -> None:
    rejected = RejectedStudy("anna", ANNA, (ANNA / "x.nii",), "no sequence")
    found = with_unread([rejected], {ANNA / "y.mnc": "MINC"}, ROOT)
    assert found[0] is rejected
    assert [study.name for study in found] == ["anna", "y"]


def test_nothing_changes_without_such_files() -> None:
    studies: list[Found] = [candidate(ANNA)]
    assert with_unread(studies, {}, ROOT) == studies
    assert with_skipped(studies, {}, ROOT) == studies
    assert with_masks(studies, [], ROOT) == studies


def test_a_folder_that_was_not_searched_is_listed_with_its_study_alone() -> None:
    skipped = {ANNA / "func": "no anatomy", ROOT / "code": "no subjects"}
    found = with_skipped([candidate(ANNA)], skipped, ROOT)
    assert unused(found) == {"anna": {"func": "func: no anatomy"}}


def test_masks_in_a_mask_folder_belong_to_the_study_above() -> None:
    found = with_masks([candidate(ANNA), candidate(BOB)], [ANNA / "seg" / "m.nii.gz"], ROOT)
    assert masks(found) == {"anna": ["m.nii.gz"], "bob": []}


def test_masks_of_a_folder_with_several_studies_go_by_the_prefix() -> None:
    studies = [candidate(ANNA, "a", prefix="p1"), candidate(ANNA, "b", prefix="p2")]
    paths = [ANNA / "seg" / "p2_seg.nii", ANNA / "seg" / "other.nii"]
    assert masks(with_masks(studies, paths, ROOT)) == {"a": [], "b": ["p2_seg.nii"]}


def test_masks_beside_no_study_are_dropped() -> None:
    rejected = RejectedStudy("carl", ROOT / "carl", (), "no sequence")
    found = with_masks([rejected, candidate(ANNA)], [ROOT / "carl" / "seg" / "m.nii"], ROOT)
    assert masks(found) == {"anna": []}
    assert found[0] is rejected
