"""Tasks of MSD: 4-D images, merged classes or parts, and labels by nibabel's own reading."""

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from tests.datasets import archives
from zeus_app.datasets.kinds import open_dataset
from zeus_app.types import LPS_TO_RAS


def test_each_channel_is_the_sequence_that_the_description_names(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_brain(tmp_path))
    sources = dataset.cases[0].sources
    numbers = archives.picture(case="BRATS_001")
    for channel, name in enumerate(("FLAIR", "T1", "T1Gd", "T2")):
        np.testing.assert_array_equal(sources[name].load().array, numbers + 1000 * channel)


def test_a_channel_lies_where_nibabel_places_it(tmp_path: Path) -> None:
    folder = archives.msd_brain(tmp_path)
    volume = open_dataset(folder).cases[0].sources["T2"].load()
    image = nibabel.load(folder / "imagesTr" / "BRATS_001.nii.gz")
    np.testing.assert_allclose(volume.affine_ras, image.affine)


def test_the_truth_lies_where_itk_places_it(tmp_path: Path) -> None:
    folder = archives.msd_brain(tmp_path)
    truth = open_dataset(folder).cases[0].truth()
    image = sitk.ReadImage(str(folder / "labelsTr" / "BRATS_001.nii.gz"))
    index = (2, 0, 1)
    lps = [*image.TransformIndexToPhysicalPoint(index), 1]
    np.testing.assert_allclose(truth.affine_ras @ [*index, 1], LPS_TO_RAS @ lps, atol=1e-4)
    assert bool(truth.array[index]) == bool(image[index])


def test_the_paper_merges_all_annotated_regions_of_the_brain(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_brain(tmp_path))
    assert dataset.target.name == "brain_tumour"
    drawn = archives.mask_of("BRATS_001")
    np.testing.assert_array_equal(dataset.cases[0].truth().array, drawn > 0)


def test_parts_of_the_tumour_have_the_meaning_of_the_description(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_brain(tmp_path), "brain_tumour_parts")
    drawn, truth = archives.mask_of("BRATS_001"), dataset.cases[0].truth().array
    values = dataset.target.label_values
    np.testing.assert_array_equal(truth == values["oedema"], drawn == 1)
    np.testing.assert_array_equal(truth == values["necrotic core"], drawn == 2)
    np.testing.assert_array_equal(truth == values["enhancing tumour"], drawn == 3)


def test_both_zones_are_prostate_in_the_paper(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_prostate(tmp_path))
    assert dataset.target.name == "prostate"
    np.testing.assert_array_equal(dataset.cases[0].truth().array, archives.marks(values=(1, 2)) > 0)


def test_zones_are_kept_by_choice(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_prostate(tmp_path), "prostate_zones")
    drawn, truth = archives.marks(values=(1, 2)), dataset.cases[0].truth().array
    values = dataset.target.label_values
    np.testing.assert_array_equal(truth == values["peripheral zone"], drawn == 1)
    np.testing.assert_array_equal(truth == values["transition zone"], drawn == 2)


def test_the_prostate_has_no_high_b_value_to_expect(tmp_path: Path) -> None:
    assert open_dataset(archives.msd_prostate(tmp_path)).sequences == ("T2", "ADC")


def test_cases_of_images_ts_are_test_cases_without_truth(tmp_path: Path) -> None:
    dataset = open_dataset(archives.msd_brain(tmp_path))
    assert [(case.id, case.part, bool(case.truths)) for case in dataset.cases] == [
        ("BRATS_001", "train", True), ("BRATS_002", "train", True), ("BRATS_485", "test", False),
    ]  # fmt: skip


def test_a_task_that_no_target_fits_is_read_by_its_description(tmp_path: Path) -> None:
    folder = tmp_path / "Task04_Hippocampus"
    archives.save(folder / "imagesTr" / "hippocampus_001.nii.gz", archives.picture())
    archives.save(folder / "labelsTr" / "hippocampus_001.nii.gz", archives.marks(values=(1, 2)))
    archives.describe(
        folder,
        name="Hippocampus",
        modality={"0": "MRI"},
        labels={"0": "background", "1": "Anterior", "2": "Posterior"},
        numTraining=1,
    )
    dataset = open_dataset(folder)
    assert dataset.target.label_values == {"Anterior": 1, "Posterior": 2}
    np.testing.assert_array_equal(dataset.cases[0].truth().array, archives.marks(values=(1, 2)))
