"""The reader on real MRI, as its sources named it."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.studies.tiny_files import files_by_sequence, sequences
from zeus_app.labels.mask_files import ImportedLabel, find_masks
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

pytestmark = pytest.mark.real
REAL = Path(os.environ.get("ZEUS_REAL_DATA", "."))
PROSTATE_X = REAL / "prostate" / "ProstateX-0000"


def test_brain_tumour_studies_are_found() -> None:
    catalog = find_studies(REAL / "brain_tumour", load_target("brain_tumour"))
    two = {"FLAIR", "T1Gd"}
    assert sequences(catalog) == {
        "TCGA-DU-7294": {"FLAIR", "T1Gd", "T1", "T2"},
        **{f"brats_2013_pat000{n}_1": two for n in (3, 4, 5, 6)},
    }
    assert catalog.problems == ()


def test_ms_lesion_studies_are_found() -> None:
    catalog = find_studies(REAL / "ms_lesion", load_target("ms_lesion"))
    every = {"FLAIR", "T1", "T1Gd", "T2"}
    assert sequences(catalog) == {"patient07": every, "patient19": every}
    assert catalog.problems == ()


def test_abdomen_studies_are_found() -> None:
    catalog = find_studies(REAL / "abdomen", load_target("abdomen"))
    numbers = (1, 2, 5, 8, 10, 15, 19, 20, 21, 32, 33, 34, 37, 38)
    assert sequences(catalog) == {f"chaos_{n}": {"T2-SPIR"} for n in numbers}
    assert catalog.problems == ()


@pytest.mark.parametrize("root", [PROSTATE_X.parent, PROSTATE_X])
def test_the_prostate_studys_nifti_files_win_over_its_dicom(root: Path) -> None:
    catalog = find_studies(root, load_target("prostate"))
    assert files_by_sequence(catalog) == {
        "ProstateX-0000": {
            "T2": "ProstateX-0000_t2w.nii.gz",
            "ADC": "ProstateX-0000_adc.nii.gz",
            "HBV": "ProstateX-0000_hbv.nii.gz",
        }
    }
    assert catalog.problems == ()


def test_three_of_seven_dicom_series_are_what_the_target_wants() -> None:
    catalog = find_studies(PROSTATE_X / "dicom", load_target("prostate"))
    (study,) = catalog.former_ids["ProstateX-0000"]  # its Patient ID
    assert files_by_sequence(catalog) == {
        study: {
            "T2": "4.000000-t2tsetra-00702",
            "ADC": "7.000000-ep2ddifftraDYNDISTADC-48780",
            "HBV": "8.000000-ep2ddifftraDYNDISTCALCBVAL-83202",
        }
    }
    assert catalog.problems == ()


@pytest.mark.parametrize(("sequence", "name"), [("T2", "t2w"), ("ADC", "adc"), ("HBV", "hbv")])
def test_dicom_and_nifti_of_one_series_are_the_same_volume(sequence: str, name: str) -> None:
    catalog = find_studies(PROSTATE_X / "dicom", load_target("prostate"))
    (study,) = catalog.studies.values()
    volume = study.sources[sequence].load()
    twin = nibabel.load(PROSTATE_X / f"ProstateX-0000_{name}.nii.gz")
    np.testing.assert_allclose(volume.affine_ras, twin.affine, atol=1e-4)
    assert np.array_equal(volume.array, twin.get_fdata(dtype=np.float32))


def test_human_masks_are_imported_and_the_consensus_of_machines_is_not() -> None:
    target = load_target("brain_tumour")
    labels = list(find_masks(REAL / "brain_tumour", target))
    human = [label for label in labels if isinstance(label, ImportedLabel)]
    assert [label.path.name for label in human] == ["OTMultiClass.nii.gz"] * 4
    assert all(label.volume.array.max() == 1 for label in human)
    (consensus,) = find_masks(REAL / "brain_tumour", target, pattern="*ai-consensus*")
    assert isinstance(consensus, ImportedLabel)
    assert consensus.study_id == "TCGA-DU-7294"


def test_every_abdomen_and_ms_study_has_its_one_mask() -> None:
    for name, count in (("abdomen", 14), ("ms_lesion", 2)):
        labels = list(find_masks(REAL / name, load_target(name)))
        assert [type(label) for label in labels] == [ImportedLabel] * count
