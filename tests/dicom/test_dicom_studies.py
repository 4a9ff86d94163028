"""Series of DICOM images become studies, and each sequence gets its series."""

from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.studies.tiny_files import (
    SAGITTAL,
    dicom_series,
    files_by_sequence,
    nifti,
    reasons,
    sequences,
)
from zeus_app.dicom.dicom_studies import study_of
from zeus_app.dicom.series import header_of
from zeus_app.dicom.series_kind import Series
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.targets.naming import Names
from zeus_app.types import StudyCandidate, VolumeSource

PROSTATE = load_target("prostate")
ABDOMEN = load_target("abdomen")
BRAIN = load_target("brain_tumour")


def prostate_examination(folder: Path, **elements: Any) -> None:
    dicom_series(folder / "3", "t2_tse_sag", orientation=SAGITTAL,
                 positions=[(0, 0, 0), (3, 0, 0)], **elements)  # fmt: skip
    dicom_series(folder / "4", "t2_tse_tra", **elements)
    trace, adc = ("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"), ("DERIVED", "DIFFUSION", "ADC")
    dicom_series(folder / "6", "ep2d_diff", b_values=(50, 800), image_type=trace, **elements)
    dicom_series(folder / "7", "ep2d_diff", b_values=(800,), image_type=adc, **elements)
    dicom_series(folder / "8", "ep2d_diff", b_values=(1400,), image_type=trace, **elements)
    dicom_series(folder / "9", "ep2d_diff", b_values=(600,), image_type=trace, **elements)


def test_series_of_a_study_are_distinguished_by_headers_and_descriptions(tmp_path: Path) -> None:
    prostate_examination(tmp_path / "anna" / "dicom")
    catalog = find_studies(tmp_path, PROSTATE)
    assert files_by_sequence(catalog) == {"anna": {"T2": "4", "ADC": "7", "HBV": "8"}}
    assert catalog.problems == ()


def test_a_study_carries_its_uid_and_every_series_that_is_a_volume(tmp_path: Path) -> None:
    prostate_examination(tmp_path / "anna" / "dicom")
    study = find_studies(tmp_path, PROSTATE).studies["anna"]
    folders = {uid: source.files[0].parent.name for uid, source in study.series.items()}
    assert study.study_uid == "1.2.3"
    assert sorted(folders.values()) == ["3", "4", "6", "7", "8", "9"]
    assert study.sources["T2"] in study.series.values()


ROOT_STUDY = "study-c47f5b18b8a4"  # the first digits of the SHA-256 of "1.2.3"


def test_an_examination_that_is_the_root_is_named_after_a_hash_of_its_uid(tmp_path: Path) -> None:
    prostate_examination(tmp_path)
    catalog = find_studies(tmp_path, PROSTATE)
    assert set(catalog.studies) == {ROOT_STUDY}
    assert catalog.former_ids == {"anna": {ROOT_STUDY}}


def test_an_examination_without_patient_or_uid_is_named_after_the_root(tmp_path: Path) -> None:
    dicom_series(tmp_path / "a", "t2_tra", PatientID="")
    dicom_series(tmp_path / "b", "t2_tra", study_uid="")
    for name in ("a", "b"):
        assert set(find_studies(tmp_path / name, PROSTATE).studies) == {name}


def test_a_rejected_examination_has_its_former_id_too(tmp_path: Path) -> None:
    dicom_series(tmp_path, "localizer")
    catalog = find_studies(tmp_path, PROSTATE)
    assert [problem.id for problem in catalog.problems] == [ROOT_STUDY]
    assert catalog.former_ids == {"anna": {ROOT_STUDY}}


def test_a_folder_with_the_name_of_the_former_id_is_that_study(tmp_path: Path) -> None:
    dicom_series(tmp_path, "t2_tra")
    dicom_series(tmp_path / "anna", "t2_tra", study_uid="1.9")
    catalog = find_studies(tmp_path, PROSTATE)
    assert set(catalog.studies) == {ROOT_STUDY, "anna"}
    assert catalog.former_ids == {}


def test_no_text_of_the_studies_holds_what_identifies_the_patient(tmp_path: Path) -> None:
    person: dict[str, Any] = {
        "PatientID": "P0815",
        "PatientName": "Roe^Anna",
        "PatientBirthDate": "19700101",
    }
    dicom_series(tmp_path / "studies", "t2_tra", **person)
    dicom_series(tmp_path / "studies", "t2_tra again", names=("x.dcm", "y.dcm", "z.dcm"),
                 **person)  # fmt: skip
    dicom_series(tmp_path / "studies" / "other", "t2_tra", study_uid="1.9", **person)
    catalog = find_studies(tmp_path / "studies", PROSTATE)
    assert (len(catalog.studies), len(catalog.problems)) == (2, 0)
    assert all(word not in f"{catalog}" for word in ("P0815", "Roe", "19700101"))


def test_two_studies_in_one_folder_get_their_dates_as_names(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p" / "a", "t2_tra", study_uid="1.1", StudyDate="20250101")
    dicom_series(tmp_path / "p" / "a", "t2_tra", study_uid="1.2", StudyDate="20260101",
                 names=("x.dcm", "y.dcm", "z.dcm"))  # fmt: skip
    assert set(find_studies(tmp_path, PROSTATE).studies) == {"p_a_20250101", "p_a_20260101"}


def test_dicom_files_need_no_suffix(tmp_path: Path) -> None:
    dicom_series(tmp_path / "anna", "t2_tra", names=("IM1", "IM2", "1.2.840.3"))
    assert sequences(find_studies(tmp_path, PROSTATE)) == {"anna": {"T2"}}


def test_a_lone_sagittal_series_is_taken(tmp_path: Path) -> None:
    positions = [(0, 0, 0), (3, 0, 0)]
    dicom_series(tmp_path / "p", "T1 MPRAGE SAG", orientation=SAGITTAL, positions=positions)
    assert sequences(find_studies(tmp_path, BRAIN)) == {"p": {"T1"}}


def test_of_several_axial_series_the_plain_one_is_used_and_the_other_is_listed(
    tmp_path: Path,
) -> None:
    dicom_series(tmp_path / "p" / "1", "t2_tse_tra")
    dicom_series(tmp_path / "p" / "2", "t2_tse_tra_fs")
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert study.evidence == {"T2": "'4 t2_tse_tra' (3 images, axial): t2"}
    (unused,) = study.unused
    assert {path.parent.name for path in unused.files} == {"2"}
    assert unused.reason.endswith("this one: with fat suppression")


def test_equal_series_leave_out_their_sequence_and_the_study_goes_on(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p" / "1", "t2_tse_tra")
    dicom_series(tmp_path / "p" / "2", "t2_tse_tra", SeriesNumber=5)
    dicom_series(tmp_path / "p" / "3", "ADC", image_type=("DERIVED", "PRIMARY", "ADC"))
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert set(study.sources) == {"ADC"}
    assert "none is better: '4 t2_tse_tra' (3 images, axial), '5 t2_tse_tra'" in str(study.unused)


def test_a_study_without_a_series_of_the_target_is_a_problem(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p", "localizer")
    assert "'4 localizer'" in reasons(find_studies(tmp_path, PROSTATE))["p"]


def test_an_unreadable_image_in_a_chosen_series_is_a_problem(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path / "p", "t2_tra")
    (folder / "003.dcm").write_bytes(b"no DICOM")
    dicom_series(tmp_path / "q", "t2_tra", study_uid="9")
    catalog = find_studies(tmp_path, PROSTATE)
    assert set(catalog.studies) == {"q"}
    assert "003.dcm cannot be read" in reasons(catalog)["p"]


def damage(path: Path, element: bytes, at: int, by: bytes) -> None:
    """Overwrite bytes of an element's header: tag (4), type (2), length (2), then its value."""
    content = bytearray(path.read_bytes())
    start = content.index(element) + at
    content[start : start + len(by)] = by
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("element", "at", "by"),
    [
        (b"\x08\x00\x20\x00DA", 4, b"Dz"),  # Study Date, of a type that does not exist
        (b"\x28\x00\x10\x00US", 6, b"\x03\x00"),  # Rows, two bytes each, now three long
    ],
    ids=["type", "length"],
)
def test_a_damaged_header_is_a_problem_and_hides_no_other_study(
    tmp_path: Path, element: bytes, at: int, by: bytes
) -> None:
    damage(dicom_series(tmp_path / "p", "t2_tra") / "000.dcm", element, at, by)
    dicom_series(tmp_path / "q", "t2_tra", study_uid="9")
    catalog = find_studies(tmp_path, PROSTATE)
    assert set(catalog.studies) == {"q"}
    assert "000.dcm cannot be read" in reasons(catalog)["p"]


def test_an_incomplete_series_is_a_problem_already_when_found(tmp_path: Path) -> None:
    positions = [(0, 0, 0), (0, 0, 3), (0, 0, 9)]
    dicom_series(tmp_path / "p", "t2_tra", positions=positions)
    assert "a slice is missing" in reasons(find_studies(tmp_path, PROSTATE))["p"]


def test_series_of_chaos_are_distinguished_by_their_folders(tmp_path: Path) -> None:
    for patient in ("1", "2"):
        base = tmp_path / "MR" / patient
        for folder in ("T1DUAL/DICOM_anon/InPhase", "T1DUAL/DICOM_anon/OutPhase"):
            dicom_series(base / folder, "T1", study_uid=f"{patient}.1")
        dicom_series(base / "T2SPIR" / "DICOM_anon", "T2", study_uid=f"{patient}.2")
        (base / "T2SPIR" / "Ground").mkdir()
        (base / "T2SPIR" / "Ground" / "IMG-0002-00001.png").write_bytes(b"mask")
    catalog = find_studies(tmp_path, ABDOMEN)
    every = {"T2-SPIR", "T1-in", "T1-out"}
    assert sequences(catalog) == {"MR_1": every, "MR_2": every}
    assert catalog.problems == ()
    phase = catalog.studies["MR_1"].sources["T1-out"].files[0].parent.name
    assert phase == "OutPhase"


def test_image_files_of_a_study_win_over_the_dicom_below_them(tmp_path: Path) -> None:
    nifti(tmp_path / "p" / "T2.nii.gz")
    dicom_series(tmp_path / "p" / "series", "t2_tra")
    assert files_by_sequence(find_studies(tmp_path, PROSTATE)) == {"p": {"T2": "T2.nii.gz"}}


def test_a_mask_beside_dicom_is_no_problem(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p" / "dicom", "t2_tra")
    nifti(tmp_path / "p" / "mask.nii.gz")
    catalog = find_studies(tmp_path, PROSTATE)
    assert sequences(catalog) == {"p": {"T2"}}
    assert catalog.problems == ()


def test_a_study_is_made_of_headers_that_came_as_json_without_files(tmp_path: Path) -> None:
    prostate_examination(tmp_path / "exported")
    headers = []
    for path in sorted((tmp_path / "exported").rglob("*.dcm")):
        metadata = pydicom.dcmread(path, stop_before_pixels=True).to_json_dict()
        remote = tmp_path / "gone" / path.parent.name / path.name
        headers.append(header_of(pydicom.Dataset.from_json(metadata), remote))
    made = []

    def downloads(series: Series) -> VolumeSource:
        made.append(series)
        return DicomSeriesSource(series.files, series.known_grid)

    study = study_of("anna", tmp_path / "gone", headers, Names.of(PROSTATE), make_source=downloads)
    assert isinstance(study, StudyCandidate)
    folders = {name: source.files[0].parent.name for name, source in study.sources.items()}
    assert folders == {"T2": "4", "ADC": "7", "HBV": "8"}
    assert study.study_uid == "1.2.3"
    assert study.sources["T2"].grid().shape == (5, 4, 3)
    assert {series.folder.name for series in made} >= {"3", "4", "7", "8", "9"}


def test_the_highest_b_value_of_a_series_is_the_hbv(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path / "p", "ep2d_diff", b_values=(50, 1400, 800))
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert study.evidence["HBV"] == (
        "'4 ep2d_diff' (3 images, axial, b-value 1400 s/mm²): ep2d_diff, b-value 1400 s/mm²"
    )
    assert study.sources["HBV"].load().array[0, 0].tolist() == [300, 400, 500]  # images 3, 4, 5
    low = next(image for image in study.unused if "b-value 50 s/mm²" in image.reason)
    assert [path.name for path in low.files] == ["000.dcm", "001.dcm", "002.dcm"]
    series_uid = pydicom.dcmread(folder / "000.dcm").SeriesInstanceUID
    assert study.series == {series_uid: study.sources["HBV"]}


def test_a_calculated_image_wins_over_the_b_values_of_a_series(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p" / "6", "ep2d_diff", b_values=(50, 800))
    dicom_series(tmp_path / "p" / "8", "ep2d_diff_CALC_BVAL", image_type=("DERIVED", "PRIMARY"))
    assert files_by_sequence(find_studies(tmp_path, PROSTATE)) == {"p": {"HBV": "8"}}


def test_a_target_that_wants_dwi_gets_the_highest_b_value(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p", "ep2d_diff", b_values=(0, 1000))
    dwi = PROSTATE.sequences[2].model_copy(update={"name": "DWI", "aliases": ()})
    stroke = PROSTATE.model_copy(update={"sequences": (dwi,), "reference": ("DWI",)})
    study = find_studies(tmp_path, stroke).studies["p"]
    assert "b-value 1000 s/mm²" in study.evidence["DWI"]


def test_a_b_value_that_misses_a_slice_costs_itself(tmp_path: Path) -> None:
    positions = [(0, 0, 3 * k) for k in range(4)]
    folder = dicom_series(tmp_path / "p", "ep2d_diff", b_values=(800, 1400), positions=positions)
    (folder / "005.dcm").unlink()  # the second slice of the b-value 1400
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert "b-value 800 s/mm²" in study.evidence["HBV"]
    (unused,) = study.unused
    assert unused.reason.startswith("HBV: '4 ep2d_diff' (3 images, axial, b-value 1400 s/mm²): ")
    assert "a slice is missing" in unused.reason


def test_a_study_of_one_space_says_nothing_about_it(tmp_path: Path) -> None:
    prostate_examination(tmp_path / "anna", FrameOfReferenceUID="1.2.3")
    study = find_studies(tmp_path, PROSTATE).studies["anna"]
    assert all("frame of reference" not in text for text in study.evidence.values())


def test_a_sequence_in_another_space_than_the_reference_says_so(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p" / "1", "t2_tra", FrameOfReferenceUID="1.2.3")
    dicom_series(tmp_path / "p" / "2", "ADC", FrameOfReferenceUID="1.2.4",
                 image_type=("DERIVED", "PRIMARY", "ADC"))  # fmt: skip
    dicom_series(tmp_path / "p" / "3", "hbv b1400", b_values=(1400,))  # names no space
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert set(study.sources) == {"T2", "ADC", "HBV"}
    said = "another frame of reference than T2: the patient may have moved"
    assert [name for name, text in study.evidence.items() if said in text] == ["ADC"]
