"""The datastore without a server: images, labels, uploads and predictions."""

import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.server.conftest import (
    SHAPE,
    affine,
    head,
    lesion_file,
    make_bad_studies,
    make_study,
    save,
)
from zeus_app.errors import InputError
from zeus_app.labels.predictions import Predictions
from zeus_app.server.context import open_context
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.types import Segmentation, Volume

COARSE = (2.0, 2.0, 3.0)  # voxels of FLAIR in mm; each covers 2×2×1 of T2's


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    make_study(tmp_path / "studies", "alpha", 1)
    return tmp_path / "studies"


def opened(studies: Path, fusion: str = "hybrid") -> StudyDatastore:
    state = studies.parent / "state"
    return open_context(str(studies), {"state": str(state), "fusion": fusion}).datastore


def drawn_on_flair(store: StudyDatastore, folder: Path) -> None:
    """A label of one FLAIR voxel, at (4, 3, 2)."""
    label = np.zeros((12, 10, 6), np.uint8)
    label[4, 3, 2] = 1
    file = save(folder / "l.nii.gz", label, affine(COARSE))
    store.save_label("alpha/FLAIR", str(file), "final", {})


def segmentation(study: str, checkpoint: str = "untrained") -> Segmentation:
    mask = Volume(np.zeros(SHAPE, np.uint8), affine())
    return Segmentation(study, mask, {"T2": mask}, (), ("T2",), (), {}, {}, {}, checkpoint)


def test_a_label_is_resampled_to_the_grid_of_the_image_that_the_id_names(
    studies: Path, tmp_path: Path
) -> None:
    store = opened(studies)
    drawn_on_flair(store, tmp_path)
    reference = nib.load(store.get_label_uri("alpha", "final"))
    # Voxel centres of both grids coincide at index (0, 0, 0), so T2 voxel (8, 6, 2) is that centre;
    # of two equally near FLAIR voxels the later counts.
    assert np.argwhere(reference.dataobj).tolist() == [[7, 5, 2], [7, 6, 2], [8, 5, 2], [8, 6, 2]]
    np.testing.assert_allclose(reference.affine, affine())
    flair = nib.load(store.get_label_uri("alpha/FLAIR", "final"))
    assert np.argwhere(flair.dataobj).tolist() == [[4, 3, 2]]


def test_a_label_for_a_whole_study_may_lie_on_the_grid_of_any_of_its_sequences(
    studies: Path, tmp_path: Path
) -> None:
    store = opened(studies)
    file = save(tmp_path / "l.nii.gz", np.ones((12, 10, 6), np.uint8), affine(COARSE))
    store.save_label("alpha", str(file), "final", {})
    assert store.get_label_info("alpha", "final")["sequence"] == "FLAIR"
    assert store.final_label("alpha").grid.shape == (12, 10, 6)


def test_a_label_for_one_sequence_that_lies_on_another_one_is_refused_by_its_name(
    studies: Path, tmp_path: Path
) -> None:
    file = save(tmp_path / "l.nii.gz", np.ones((12, 10, 6), np.uint8), affine(COARSE))
    with pytest.raises(InputError, match=r"label for T2 that lies on the grid of FLAIR"):
        opened(studies).save_label("alpha/T2", str(file), "final", {})


def test_a_label_is_not_refused_because_another_sequence_cannot_be_read(
    studies: Path, tmp_path: Path
) -> None:
    store = opened(studies)
    file = save(tmp_path / "l.nii.gz", np.ones((12, 10, 6), np.uint8), affine(COARSE))
    (studies / "alpha" / "alpha_t2.nii.gz").write_bytes(b"damaged")
    store.save_label("alpha", str(file), "final", {})
    assert store.get_labeled_images() == ["alpha"]


def test_images_and_labels_of_the_dataset_lie_on_one_grid(studies: Path, tmp_path: Path) -> None:
    store = opened(studies)
    drawn_on_flair(store, tmp_path)
    (case,) = store.datalist()
    image, label = (nib.load(case[kind]) for kind in ("image", "label"))
    assert image.shape == label.shape == SHAPE
    with zipfile.ZipFile(store.get_dataset_archive(None)) as archive:
        archive.extract("label/alpha.nii.gz", tmp_path)
    np.testing.assert_array_equal(
        nib.load(tmp_path / "label" / "alpha.nii.gz").dataobj, label.dataobj
    )


def test_a_training_reads_the_label_on_the_grid_that_it_was_drawn_on(
    studies: Path, tmp_path: Path
) -> None:
    store = opened(studies)
    drawn_on_flair(store, tmp_path)
    assert store.final_label("alpha").array.shape == (12, 10, 6)


def test_a_study_whose_voxels_cannot_be_used_leaves_the_list(studies: Path) -> None:
    make_bad_studies(studies)
    store = opened(studies)
    catalogue = store.catalogue
    unusable = {"nan": "NaN", "constant": "value 7", "aaa_still": "value 0"}
    for study, words in unusable.items():
        assert study in store.get_unlabeled_images()
        with pytest.raises(InputError, match=words):
            catalogue.read(catalogue.resolve(study))
        assert study not in store.get_unlabeled_images()
        assert words in next(
            problem.reason for problem in catalogue.problems if problem.id == study
        )
        with pytest.raises(InputError, match=words):  # and the error says why
            catalogue.resolve(study)


def test_a_study_stays_without_the_sequence_whose_voxels_cannot_be_used(studies: Path) -> None:
    make_bad_studies(studies)
    store = opened(studies)
    found = store.catalogue.studies["msd_case"]
    study = store.catalogue.read(store.catalogue.resolve("msd_case"))
    assert len(study.volumes) == len(found.sources) - 1
    assert "msd_case" in store.list_images()
    (unused,) = store.catalogue.studies["msd_case"].unused
    assert "NaN" in unused.reason
    info = store.get_image_info("msd_case")
    assert info["sequences"] == list(study.volumes)
    assert info["reference"] in study.volumes


def test_downloading_a_study_that_cannot_be_used_takes_it_off_the_list(studies: Path) -> None:
    make_bad_studies(studies)
    store = opened(studies)
    assert "aaa_still" in store.list_images()
    with pytest.raises(InputError, match="value 0"):
        store.get_image_uri("aaa_still")
    assert "aaa_still" not in store.list_images()


def test_a_study_goes_on_without_a_file_that_is_gone(studies: Path) -> None:
    store = opened(studies)
    (studies / "alpha" / "alpha_t2.nii.gz").unlink()
    assert store.get_image_info("alpha")["reference"] == "FLAIR"
    (unused,) = store.catalogue.studies["alpha"].unused
    assert "alpha_t2.nii.gz is gone" in unused.reason
    (studies / "alpha" / "alpha_flair.nii.gz").unlink()
    with pytest.raises(InputError, match=r"alpha_flair.nii.gz is gone"):
        store.get_image_info("alpha")
    assert store.list_images() == []


def test_orphaned_labels_are_a_problem_with_their_folder(studies: Path, tmp_path: Path) -> None:
    opened(studies).save_label("alpha", str(lesion_file(tmp_path / "l.nii.gz")), "final", {})
    (studies / "alpha").rename(studies / "alfa")
    store = opened(studies)
    (problem,) = store.problems
    assert problem.id == "alpha"
    assert "labels of no study" in problem.reason
    (folder,) = problem.files
    assert list(folder.glob("*.nii.gz"))
    folder.rename(folder.parent / "alfa")  # as the reason says
    assert store.problems == ()
    assert store.get_labeled_images() == ["alfa"]


def test_a_removed_orphaned_label_is_not_a_problem(studies: Path, tmp_path: Path) -> None:
    store = opened(studies)
    store.save_label("alpha", str(lesion_file(tmp_path / "l.nii.gz")), "final", {})
    store.remove_label("alpha", "final")
    (studies / "alpha").rename(studies / "alfa")
    assert opened(studies).problems == ()


def test_labels_of_a_study_that_cannot_be_read_are_not_orphaned(
    studies: Path, tmp_path: Path
) -> None:
    opened(studies).save_label("alpha", str(lesion_file(tmp_path / "l.nii.gz")), "final", {})
    for image in (studies / "alpha").glob("*.nii.gz"):
        image.write_bytes(image.read_bytes()[:100])
    assert ["cannot be read" in problem.reason for problem in opened(studies).problems] == [True]


def test_a_refresh_tries_again(studies: Path) -> None:
    make_bad_studies(studies)
    store = opened(studies)
    with pytest.raises(InputError):
        store.catalogue.read(store.catalogue.resolve("nan"))
    save(studies / "nan" / "nan_t2.nii.gz", head(1), affine())
    store.refresh()
    assert "nan" in store.list_images()
    assert store.catalogue.read(store.catalogue.resolve("nan")).volumes["T2"].array.shape == SHAPE


def test_sequences_that_share_no_space_are_not_a_study(studies: Path) -> None:
    make_bad_studies(studies)
    store = opened(studies)
    assert "apart" not in store.list_images()
    with pytest.raises(InputError, match=r"share 0.0%"):
        store.catalogue.resolve("apart")


@pytest.mark.parametrize(
    ("file", "image_id", "sequence"),
    [
        ("anna_flair.nii.gz", "anna", "FLAIR"),
        ("x.nii.gz", "anna_flair", "FLAIR"),
        ("anna_t2.nii.gz", "flair study", "T2"),
        ("x.nii.gz", "anna", "T2"),
    ],
)
def test_an_upload_s_sequence_comes_from_its_file_name_before_its_id_and_stays(
    studies: Path, tmp_path: Path, file: str, image_id: str, sequence: str
) -> None:
    store = opened(studies)
    study = store.add_image(image_id, str(save(tmp_path / "in" / file, head(2), affine())), {})
    assert list(store.catalogue.studies[study].sources) == [sequence]
    assert list(opened(studies).catalogue.studies[image_id].sources) == [sequence]


@pytest.mark.parametrize(
    "name", ["4: t2_tse_tra", "MRHead (1)", "50% ~ a~b", "Müller, Anna", "x#y?", "a*b|c<d>", "_x"]
)
def test_an_upload_may_have_a_name_that_viewers_give_to_images(
    studies: Path, tmp_path: Path, name: str
) -> None:
    file = save(tmp_path / "in" / "t2.nii.gz", head(2), affine())
    assert opened(studies).add_image(name, str(file), {}) == name
    store = opened(studies)  # a server that starts again finds it under this name
    assert store.list_images() == sorted(["alpha", name])
    store.save_label(name, str(lesion_file(tmp_path / "l.nii.gz")), "final", {})
    assert store.get_labeled_images() == [name]
    (upload,) = (tmp_path / "state" / "phantom" / "uploads").glob("[!.]*")
    assert not set(upload.name) & set(':?*|<>"#')
    assert not set(store.get_image_info(name)["name"]) & set(':?*|<>"#')


def test_an_upload_of_a_sequence_that_the_target_lacks_is_a_problem(
    studies: Path, tmp_path: Path
) -> None:
    file = save(tmp_path / "in" / "flair.nii.gz", head(2), affine())
    opened(studies).add_image("anna", str(file), {})
    conf = {"state": str(tmp_path / "state"), "sequences": "T2"}
    store = open_context(str(studies), conf).datastore
    assert "anna" not in store.list_images()
    assert "unknown sequence 'FLAIR'" in store.catalogue.problems[0].reason


def test_the_predictions_for_an_upload_are_removed_with_it(studies: Path, tmp_path: Path) -> None:
    file = str(save(tmp_path / "in" / "t2.nii.gz", head(2), affine()))
    hybrid, late = opened(studies), opened(studies, "late")
    hybrid.add_image("anna", file, {})
    for store in (hybrid, late):
        store.predictions.save(segmentation("anna"), {"checkpoint": "untrained", "used": ["T2"]})
        assert store.predictions.newest("anna") is not None
    hybrid.remove_image("anna")
    hybrid.add_image("anna", file, {})
    assert hybrid.predictions.newest("anna") is None
    assert late.predictions.newest("anna") is None
    masks = list((tmp_path / "state").rglob(".removed-*/untrained/union.nii.gz"))
    assert len(masks) == 2


def test_the_newest_prediction_may_come_from_any_checkpoint(tmp_path: Path) -> None:
    predictions = Predictions(tmp_path)
    for checkpoint in ("v0002", "v0001"):
        predictions.save(segmentation("a", checkpoint), {"checkpoint": checkpoint, "used": ["T2"]})
    newest = predictions.newest("a")
    assert newest is not None
    assert newest.checkpoint == "v0001"
    assert [prediction.checkpoint for prediction in predictions.of_study("a")] == ["v0001", "v0002"]


OWN = {"sequence": "T2", "label": "lesion", "text": "bright and round", "model": "user"}
MACHINE = {"sequence": "FLAIR", "label": "lesion", "text": "a brain", "model": "an LLM"}


def stored_texts(store: StudyDatastore, info: dict[str, object], folder: Path) -> object:
    store.save_label("alpha", str(lesion_file(folder / "l.nii.gz")), "final", info)
    return store.get_label_info("alpha", "final")["instructions"]


def test_a_user_s_own_text_of_a_prediction_is_stored_with_its_correction(
    studies: Path, tmp_path: Path
) -> None:
    store = opened(studies)
    store.predictions.save(
        segmentation("alpha"), {"instructions": [OWN, MACHINE], "checkpoint": "v1"}
    )
    assert stored_texts(store, {}, tmp_path) == {"T2/lesion": "bright and round"}


def test_a_text_sent_with_the_label_wins_over_that_of_the_prediction(
    studies: Path, tmp_path: Path
) -> None:
    store = opened(studies)
    store.predictions.save(segmentation("alpha"), {"instructions": [OWN], "checkpoint": "v1"})
    texts = {"FLAIR/cyst": "dark"}
    assert stored_texts(store, {"instructions": texts}, tmp_path) == texts


def test_a_text_for_an_unknown_sequence_is_refused_with_the_label(
    studies: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="ADC/lesion"):
        stored_texts(opened(studies), {"instructions": {"ADC/lesion": "x"}}, tmp_path)
