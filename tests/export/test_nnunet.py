"""The exported folder keeps nnU-Net's rules, and its voxels lie where those of the studies lie."""

import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk
from nibabel.processing import resample_from_to

from tests.studies.tiny_files import dicom_series, nifti
from zeus_app.errors import InputError
from zeus_app.export.nnunet import (
    Exported,
    consecutive_values,
    dataset_folder,
    export_nnunet,
)
from zeus_app.studies.find import find_studies
from zeus_app.targets import Label, Sequence, Target
from zeus_app.types import Affine

TARGET = Target(
    name="two parts",
    instance="parts",
    labels=(Label(name="rim", value=9), Label(name="core", value=4)),
    sequences=(
        Sequence(name="FLAIR", prompt_name="FLAIR", aliases=("flair",)),
        Sequence(name="T2", prompt_name="T2", aliases=("t2",)),
    ),
    reference=("FLAIR",),
)
FLAIR: Affine = np.array([[-1.0, 0, 0, 12], [0, 0, 2.0, -9], [0, 1.5, 0, 4], [0, 0, 0, 1]])
T2: Affine = np.array([[0.0, 1.2, 0, 1.13], [-1.2, 0, 0, 8.07], [0, 0, 1.4, 2.11], [0, 0, 0, 1]])


def smooth(shape: tuple[int, int, int], affine: Affine) -> npt.NDArray[np.float32]:
    """An image whose value is linear in RAS mm, so that linear interpolation is exact."""
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    mm = places @ affine[:3, :3].T + affine[:3, 3]
    return np.asarray(100 + mm @ (1.0, 3.0, 10.0), dtype=np.float32)


def study(root: Path, name: str, *, sequences: tuple[str, ...] = ("FLAIR", "T2")) -> None:
    affines = {"FLAIR": FLAIR, "T2": T2}
    for sequence in sequences:
        affine = affines[sequence]
        nifti(root / name / f"{sequence}.nii.gz", smooth((12, 9, 10), affine), affine)


def label(path: Path, affine: Affine = FLAIR) -> Path:
    array = np.zeros((12, 9, 10), np.uint8)
    array[2:5, 3:6, 4:7], array[6:8, 3:5, 2:4] = 9, 4
    return nifti(path, array, affine)


def exported(tmp_path: Path, labels: Mapping[str, Path], target: Target = TARGET) -> Exported:
    studies = find_studies(tmp_path / "studies", target).studies
    return export_nnunet(studies, target, labels, dataset_folder(tmp_path / "raw", target, 501))


def check_rules(folder: Path) -> dict[str, Any]:
    """What `nnUNetv2_plan_and_preprocess --verify_dataset_integrity` checks; dataset.json."""
    description: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"Dataset\d{3}_[A-Za-z0-9_.-]+", folder.name)
    ending, channels = description["file_ending"], description["channel_names"]
    assert list(channels) == [str(number) for number in range(len(channels))]
    values = list(description["labels"].values())
    assert values == list(range(len(values)))
    assert next(iter(description["labels"])) == "background"
    images = sorted(path.name for path in (folder / "imagesTr").iterdir())
    cases = sorted({name[: -len(f"_0000{ending}")] for name in images})
    assert len(cases) == description["numTraining"]
    assert sorted(path.name for path in (folder / "labelsTr").iterdir()) == [
        f"{case}{ending}" for case in cases
    ]
    assert images == [
        f"{case}_{number:04d}{ending}" for case in cases for number in range(len(channels))
    ]
    for case in cases:
        files = [folder / "imagesTr" / f"{case}_{i:04d}{ending}" for i in range(len(channels))]
        check_geometry([*files, folder / "labelsTr" / f"{case}{ending}"])
        seen = set(np.unique(nibabel.load(folder / "labelsTr" / f"{case}{ending}").dataobj))
        assert seen <= set(values)
    return description


def check_geometry(files: list[Path]) -> None:
    """All files of a case have one geometry, for nibabel and for SimpleITK."""
    first = nibabel.load(files[0])
    itk = sitk.ReadImage(str(files[0]))
    for path in files[1:]:
        image, other = nibabel.load(path), sitk.ReadImage(str(path))
        assert image.shape == first.shape
        np.testing.assert_array_equal(image.affine, first.affine)
        for geometry in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(other, geometry)() == getattr(itk, geometry)()


@pytest.fixture
def one_case(tmp_path: Path) -> Path:
    """The dataset of a labelled study p1 and an unlabelled study p2."""
    for name in ("p1", "p2"):
        study(tmp_path / "studies", name)
    return exported(tmp_path, {"p1": label(tmp_path / "label.nii.gz")}).folder


def test_the_rules_of_nnunet_are_kept(one_case: Path) -> None:
    description = check_rules(one_case)
    assert description["channel_names"] == {"0": "FLAIR", "1": "T2"}
    assert description["labels"] == {"background": 0, "core": 1, "rim": 2}
    assert description["numTraining"] == 1
    assert one_case.name == "Dataset501_two_parts"


def test_unlabelled_studies_are_test_cases(one_case: Path) -> None:
    assert sorted(path.name for path in (one_case / "imagesTs").iterdir()) == [
        "p2_0000.nii.gz", "p2_0001.nii.gz",
    ]  # fmt: skip


def test_the_reference_keeps_its_voxels(one_case: Path, tmp_path: Path) -> None:
    source = nibabel.load(tmp_path / "studies" / "p1" / "FLAIR.nii.gz")
    canonical = nibabel.as_closest_canonical(source)
    image = nibabel.load(one_case / "imagesTr" / "p1_0000.nii.gz")
    np.testing.assert_array_equal(image.dataobj, canonical.dataobj)
    np.testing.assert_allclose(image.affine, canonical.affine)


def test_the_other_sequence_is_interpolated_where_it_lies(one_case: Path) -> None:
    image = nibabel.load(one_case / "imagesTr" / "p1_0001.nii.gz")
    expected = smooth(image.shape, image.affine)
    found = np.asarray(image.dataobj)
    source = nibabel.Nifti1Image(np.ones((12, 9, 10), np.float32), T2)
    inside = np.asarray(resample_from_to(source, image, order=1).dataobj) > 0.999
    assert inside.sum() > 100
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-3)


@pytest.mark.parametrize("axes", ["RAS", "LPI", "PSL", "IRA"])
def test_the_label_lies_where_it_was_drawn(tmp_path: Path, axes: str) -> None:
    study(tmp_path / "studies", "p1")
    drawn = nibabel.load(label(tmp_path / "label.nii.gz"))
    turned = drawn.as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.io_orientation(drawn.affine), nibabel.orientations.axcodes2ornt(tuple(axes))
        )
    )
    nibabel.save(turned, tmp_path / "turned.nii.gz")
    folder = exported(tmp_path, {"p1": tmp_path / "turned.nii.gz"}).folder
    found = nibabel.load(folder / "labelsTr" / "p1.nii.gz")
    expected = np.asarray(nibabel.as_closest_canonical(drawn).dataobj)
    np.testing.assert_array_equal(found.dataobj, np.array([0, *[0] * 3, 1, *[0] * 4, 2])[expected])


def test_a_label_on_another_sequences_grid_is_resampled_and_it_is_said(tmp_path: Path) -> None:
    study(tmp_path / "studies", "p1")
    drawn = label(tmp_path / "label.nii.gz", T2)
    done = exported(tmp_path, {"p1": drawn})
    found = nibabel.load(done.folder / "labelsTr" / "p1.nii.gz")
    expected = np.asarray(resample_from_to(nibabel.load(drawn), found, order=0).dataobj)
    np.testing.assert_array_equal(np.asarray(found.dataobj) > 0, expected > 0)
    assert "label" in done.notes["p1"]
    assert "T2" in done.notes["p1"]


def test_studies_with_missing_sequences_are_left_out_with_the_reason(tmp_path: Path) -> None:
    study(tmp_path / "studies", "p1")
    study(tmp_path / "studies", "p2", sequences=("T2",))
    labels = {name: label(tmp_path / f"{name}.nii.gz") for name in ("p1", "p2")}
    done = exported(tmp_path, labels)
    assert done.labelled == ("p1",)
    assert done.left_out["p2"].startswith("it lacks FLAIR")
    check_rules(done.folder)


def test_if_all_are_left_out_the_sequences_that_they_have_are_told_once(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(30)]
    for name in names:
        study(tmp_path / "studies", name, sequences=("T2",))
    labels = {name: label(tmp_path / f"{name}.nii.gz", T2) for name in names}
    with pytest.raises(InputError, match="--sequences T2") as caught:
        exported(tmp_path, labels)
    assert len(str(caught.value)) < 500


def test_with_chosen_sequences_fewer_studies_are_left_out(tmp_path: Path) -> None:
    study(tmp_path / "studies", "p1")
    study(tmp_path / "studies", "p2", sequences=("T2",))
    labels = {name: label(tmp_path / f"{name}.nii.gz", T2) for name in ("p1", "p2")}
    done = exported(tmp_path, labels, TARGET.only(("T2",)))
    assert done.labelled == ("p1", "p2")
    assert check_rules(done.folder)["channel_names"] == {"0": "T2"}


def test_a_damaged_image_or_label_leaves_out_its_study_alone(tmp_path: Path) -> None:
    for name in ("p1", "p2", "p3"):
        study(tmp_path / "studies", name)
    labels = {name: label(tmp_path / f"{name}.nii.gz") for name in ("p1", "p2", "p3")}
    nifti(labels["p2"], np.full((12, 9, 10), 7, np.uint8), FLAIR)
    image = tmp_path / "studies" / "p3" / "T2.nii.gz"
    nifti(image, np.full((12, 9, 10), np.nan, np.float32), T2)
    done = exported(tmp_path, labels)
    assert done.labelled == ("p1",)
    assert "values of no label" in done.left_out["p2"]
    assert "T2" in done.left_out["p3"]
    assert "NaN" in done.left_out["p3"]
    check_rules(done.folder)
    assert not (done.folder / "imagesTs").exists()


def test_the_exported_folder_is_read_by_zeus_again(one_case: Path) -> None:
    found = find_studies(one_case, TARGET)
    assert not found.problems
    assert {name: set(files.sources) for name, files in found.studies.items()} == {
        "p1": {"FLAIR", "T2"}, "p2": {"FLAIR", "T2"},
    }  # fmt: skip
    assert found.studies["p1"].masks == (one_case / "labelsTr" / "p1.nii.gz",)
    assert found.studies["p2"].masks == ()


def test_no_patient_id_is_written(tmp_path: Path) -> None:
    for number, sequence in enumerate(("FLAIR", "T2")):
        dicom_series(tmp_path / "studies" / "exam" / str(number), sequence, study_uid="1.2",
                     PatientID="P0815", PatientName="Roe^Anna", SeriesNumber=number)  # fmt: skip
    files = find_studies(tmp_path / "studies", TARGET).studies
    (name,) = files
    grid = files[name].sources["FLAIR"].grid()
    drawn = nifti(tmp_path / "label.nii.gz", np.full(grid.shape, 4, np.uint8), grid.affine_ras)
    folder = exported(tmp_path, {name: drawn}).folder
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        content += gzip.decompress(content) if path.suffix == ".gz" else b""
        assert not re.search(rb"P0815|Roe|Anna", content + str(path.name).encode())


def test_without_a_label_nothing_is_written(tmp_path: Path) -> None:
    study(tmp_path / "studies", "p1")
    with pytest.raises(InputError, match="no study with a label"):
        exported(tmp_path, {})
    assert not (tmp_path / "raw").exists()


def test_what_fails_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(tmp_path / "studies", "p1")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("zeus_app.export.nnunet._write_description", full)
    with pytest.raises(OSError, match="No space"):
        exported(tmp_path, {"p1": label(tmp_path / "label.nii.gz")})
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_folder_with_content_and_a_taken_number_are_refused(tmp_path: Path) -> None:
    study(tmp_path / "studies", "p1")
    labels = {"p1": label(tmp_path / "label.nii.gz")}
    (tmp_path / "raw" / "Dataset501_two_parts").mkdir(parents=True)
    folder = exported(tmp_path, labels).folder  # an empty one is taken
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError, match="not empty"):
        exported(tmp_path, labels)
    assert sorted(folder.rglob("*")) == before
    folder.rename(folder.with_name("Dataset501_other"))
    with pytest.raises(InputError, match="Dataset501_other"):
        exported(tmp_path, labels)


def test_values_are_consecutive_and_keep_their_order() -> None:
    assert consecutive_values(TARGET) == {"core": 1, "rim": 2}


@pytest.mark.parametrize("name", ["background", "ignore"])
def test_names_that_mean_something_else_to_nnunet_are_refused(name: str) -> None:
    target = TARGET.model_copy(update={"labels": (Label(name=name, value=1),)})
    with pytest.raises(InputError, match=name):
        consecutive_values(target)


def test_the_folds_are_written_by_case(tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        study(tmp_path / "studies", name)
    labels = {name: label(tmp_path / f"{name}.nii.gz") for name in ("p1", "p2")}
    folder = exported(tmp_path, labels).folder
    folds = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    assert sorted(fold["val"] for fold in folds) == [["p1"], ["p2"]]
