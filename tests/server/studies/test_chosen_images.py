from pathlib import Path

import numpy as np
import pytest

from tests.dicom.enhanced_files import Frame, enhanced_mr
from tests.studies.tiny_files import SAGITTAL, dicom_series, nifti, ramp, study
from zeus_app.errors import InputError
from zeus_app.server.studies.chosen_images import choose_images
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

BRAIN = load_target("brain_tumour")
PROSTATE = load_target("prostate")


def resolved(root: Path, sequence: str = "FLAIR") -> ResolvedImage:
    target = BRAIN if sequence == "FLAIR" else PROSTATE
    (files,) = find_studies(root, target).studies.values()
    return ResolvedImage(files, sequence, whole=True, is_temporary=False)


@pytest.fixture
def tie(tmp_path: Path) -> Path:
    """A study with two equal T1 images, which leave T1 out."""
    root = study(tmp_path / "studies" / "p", "FLAIR", "01_T1").parent
    nifti(root / "p" / "02_T1.nii.gz", ramp(4, 4, 3) + 7)
    return root


def test_a_request_chooses_one_of_two_equal_images(tie: Path) -> None:
    image = resolved(tie)
    assert set(image.files.sources) == {"FLAIR"}
    chosen = choose_images(image, {"T1": "02_T1.nii.gz"}, BRAIN.sequence_names)
    assert list(chosen.files.sources) == ["FLAIR", "T1"]
    np.testing.assert_array_equal(chosen.files.sources["T1"].load().array, ramp(4, 4, 3) + 7)


def test_the_path_that_the_list_shows_is_a_name_too(tie: Path) -> None:
    path = str(tie / "p" / "01_T1.nii.gz")
    chosen = choose_images(resolved(tie), {"T1": path}, BRAIN.sequence_names)
    assert chosen.files.sources["T1"].files == (Path(path),)


def test_a_dicom_series_is_chosen_by_its_first_file(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p" / "1", "t2_tse_tra")
    names = ("x0.dcm", "x1.dcm", "x2.dcm")
    dicom_series(tmp_path / "p" / "2", "t2_tse_tra_fs", names=names)
    image = resolved(tmp_path, "T2")
    chosen = choose_images(image, {"T2": "x0.dcm"}, PROSTATE.sequence_names)
    assert {path.name for path in chosen.files.sources["T2"].files} == set(names)


def test_a_b_value_of_a_series_is_chosen_by_its_first_file(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p", "ep2d_diff", b_values=(800, 1400))
    image = resolved(tmp_path, "HBV")
    assert image.files.sources["HBV"].load().array[0, 0].tolist() == [300, 400, 500]
    chosen = choose_images(image, {"HBV": "000.dcm"}, PROSTATE.sequence_names)
    assert chosen.files.sources["HBV"].load().array[0, 0].tolist() == [0, 100, 200]


def test_an_image_that_only_its_source_can_read_is_chosen(tmp_path: Path) -> None:
    """Such as frames of one file, or a series that a PACS still has."""
    axial = [Frame((0, 0, 3 * k)) for k in range(3)]
    turned = [Frame((4 * k, 0, 0), SAGITTAL, stack="2") for k in range(2)]
    enhanced_mr(tmp_path / "p" / "both.dcm", turned + axial, "t2")
    enhanced_mr(tmp_path / "p" / "alone.dcm", [Frame((0, 0, 1.5 * k)) for k in range(9)], "t2")
    chosen = choose_images(resolved(tmp_path, "T2"), {"T2": "both.dcm"}, PROSTATE.sequence_names)
    assert chosen.files.sources["T2"].load().array[0, 0].tolist() == [200, 300, 400]


@pytest.mark.parametrize("name", ["/etc/passwd", "../p/FLAIR.nii.gz", "label.nii.gz", ""])
def test_an_image_that_is_not_listed_is_refused(tie: Path, name: str) -> None:
    with pytest.raises(InputError, match="does not list"):
        choose_images(resolved(tie), {"T1": name}, BRAIN.sequence_names)


def test_a_sequence_that_the_target_lacks_is_refused(tie: Path) -> None:
    with pytest.raises(InputError, match="unknown sequence 'T9'"):
        choose_images(resolved(tie), {"T9": "01_T1.nii.gz"}, BRAIN.sequence_names)


def test_without_a_choice_the_image_is_the_same(tie: Path) -> None:
    image = resolved(tie)
    assert choose_images(image, {}, BRAIN.sequence_names) is image
