import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tests.studies.tiny_files import dicom_series, nifti, ramp, reasons, sequences, study
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

BRAIN = load_target("brain_tumour")
PROSTATE = load_target("prostate")

MSD_BRAIN = {"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}}
MSD_PROSTATE = {"modality": {"0": "T2", "1": "ADC"}}


def describe(root: Path, content: object) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))


def test_dataset_json_names_the_channels_of_4_d_files(tmp_path: Path) -> None:
    describe(tmp_path, MSD_BRAIN)
    nifti(tmp_path / "imagesTr" / "BRATS_001.nii.gz", ramp(4, 4, 3, 4))
    nifti(tmp_path / "imagesTs" / "BRATS_485.nii.gz", ramp(4, 4, 3, 4))
    nifti(tmp_path / "labelsTr" / "BRATS_001.nii.gz")
    (tmp_path / "imagesTr" / "._BRATS_001.nii.gz").write_bytes(b"fork")
    catalog = find_studies(tmp_path, BRAIN)
    every = {"FLAIR", "T1", "T1Gd", "T2"}
    assert sequences(catalog) == {"BRATS_001": every, "BRATS_485": every}
    assert catalog.problems == ()


def test_a_channel_loads_as_the_volume_it_holds(tmp_path: Path) -> None:
    describe(tmp_path, MSD_PROSTATE)
    voxels = ramp(4, 4, 3, 2)
    nifti(tmp_path / "imagesTr" / "prostate_00.nii.gz", voxels)
    sources = find_studies(tmp_path, PROSTATE).studies["prostate_00"].sources
    assert np.array_equal(sources["T2"].load().array, voxels[..., 0])
    assert np.array_equal(sources["ADC"].load().array, voxels[..., 1])


def test_a_file_with_fewer_channels_than_named_is_used_without_the_missing_ones(
    tmp_path: Path,
) -> None:
    describe(tmp_path, MSD_PROSTATE)
    nifti(tmp_path / "imagesTr" / "prostate_00.nii.gz", ramp(4, 4, 3))
    nifti(tmp_path / "imagesTr" / "prostate_01.nii.gz", ramp(4, 4, 3, 2))
    catalog = find_studies(tmp_path, PROSTATE)
    assert sequences(catalog) == {"prostate_00": {"T2"}, "prostate_01": {"T2", "ADC"}}
    (unused,) = catalog.studies["prostate_00"].unused
    assert "no channel 1" in unused.reason


def test_an_archive_below_the_root_gives_its_name_to_its_studies(tmp_path: Path) -> None:
    describe(tmp_path / "Task05", MSD_PROSTATE)
    nifti(tmp_path / "Task05" / "imagesTr" / "prostate_00.nii.gz", ramp(4, 4, 3, 2))
    assert set(find_studies(tmp_path, PROSTATE).studies) == {"Task05_prostate_00"}


def test_nnu_net_stores_a_file_a_channel(tmp_path: Path) -> None:
    describe(tmp_path, {"channel_names": {"0": "T2", "1": "ADC", "2": "CT"}})
    study(tmp_path / "imagesTr", "case_7_0000", "case_7_0001", "case_7_0002", "case_8_0001")
    catalog = sequences(find_studies(tmp_path, PROSTATE))
    assert catalog == {"case_7": {"T2", "ADC"}, "case_8": {"ADC"}}


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"modality": {"0": "CT"}}'])
def test_a_dataset_json_of_no_use_is_a_problem(tmp_path: Path, content: str) -> None:
    (tmp_path / "a" / "imagesTr").mkdir(parents=True)
    (tmp_path / "a" / "dataset.json").write_text(content)
    study(tmp_path / "p", "T2")
    catalog = find_studies(tmp_path, PROSTATE)
    assert set(catalog.studies) == {"p"}
    assert "dataset.json" in reasons(catalog)["a"]


def test_a_whole_gzip_of_two_members_is_no_truncated_file(tmp_path: Path) -> None:
    path = nifti(tmp_path / "p" / "T2.nii.gz")
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    assert set(find_studies(tmp_path, PROSTATE).studies) == {"p"}


def test_a_case_list_is_all_that_counts(tmp_path: Path) -> None:
    study(tmp_path / "scans", "17", "18", "T2")
    cases = [{"id": "anna", "sequences": {"T2": "scans/17.nii.gz", "adc": "scans/18.nii.gz"}}]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    assert sequences(find_studies(tmp_path, PROSTATE)) == {"anna": {"T2", "ADC"}}


def test_a_case_list_may_be_yaml_and_name_channels_and_dicom_folders(tmp_path: Path) -> None:
    nifti(tmp_path / "both.nii.gz", ramp(4, 4, 3, 2))
    dicom_series(tmp_path / "series", "whatever")
    (tmp_path / "cases.yaml").write_text(
        "- id: anna\n  sequences:\n    T2: {path: both.nii.gz, channel: 1}\n    HBV: series\n"
    )
    sources = find_studies(tmp_path, PROSTATE).studies["anna"].sources
    assert sources["T2"].load().array.flat[0] == 1
    assert sources["HBV"].load().array.shape == (5, 4, 3)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"id": "b", "sequences": {"T2": "gone.nii.gz"}}, "does not exist"),
        ({"id": "b", "sequences": {"PET": "p/T2.nii.gz"}}, "'PET' is not a sequence of the target"),
        ({"id": "b", "sequences": {}}, "no sequences"),
        ({"id": "b", "sequence": {"T2": "p/T2.nii.gz"}}, "unknown keys: sequence"),
        ({"id": "b", "sequences": {"T2": "p/T2.nii.gz", "t2w": "p/T2.nii.gz"}}, "two entries"),
        ({"id": "b", "sequences": {"T2": {"path": "p/T2.nii.gz", "channel": 5}}}, "no channel 5"),
        ({"id": "b", "sequences": {"T2": {"path": "p/T2.nii.gz", "channel": -1}}}, "channel: N"),
        ({"id": "b", "sequences": {"T2": {"path": "p/T2.nii.gz"}}}, "channel: N"),
        ({"id": "b", "sequences": {"T2": {"channel": 0}}}, "path: FILE"),
    ],
)
def test_a_wrong_entry_of_a_case_list_hides_no_other(
    tmp_path: Path, entry: object, reason: str
) -> None:
    study(tmp_path / "p", "T2")
    good = {"id": "anna", "sequences": {"T2": "p/T2.nii.gz"}}
    (tmp_path / "cases.json").write_text(json.dumps([entry, good, "neither"]))
    catalog = find_studies(tmp_path, PROSTATE)
    assert set(catalog.studies) == {"anna"}
    assert reason in reasons(catalog)["b"]
    assert "without id" in reasons(catalog)["case-3"]


@pytest.mark.parametrize("content", ["{", "id: anna"])
def test_a_case_list_that_is_none_is_a_problem(tmp_path: Path, content: str) -> None:
    (tmp_path / "cases.yaml").write_text(content)
    catalog = find_studies(tmp_path, PROSTATE)
    assert catalog.studies == {}
    assert "cases" in reasons(catalog)
