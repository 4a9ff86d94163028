"""Submitted labels: every version stays, and the newest is used."""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server.conftest import LESION, SHAPE, affine, head, lesion_file, save
from tests.server.running import Server
from zeus_app.types import LabelArray


@pytest.fixture(autouse=True)
def _no_label_remains(server: Server) -> Iterator[None]:
    yield
    for study in ("bravo", "square", "thin"):  # other modules ask the same server
        requests.delete(f"{server.url}/datastore/label?id={study}&tag=final", timeout=60)


def versions(server: Server, study: str = "bravo") -> list[dict[str, object]]:
    entries: list[dict[str, object]] = requests.get(
        f"{server.url}/zeus/labels/{study}", timeout=60
    ).json()["versions"]
    return entries


def label_of(client: MONAILabelClient, study: str = "bravo") -> LabelArray:
    return np.asarray(nib.load(client.download_label(study, "final")).dataobj, np.uint8)


FLIP = (-1, -1, 1)  # how bravo is stored


def test_a_submitted_label_completes_its_study(client: MONAILabelClient, tmp_path: Path) -> None:
    before = client.info()["datastore"]["completed"]
    client.save_label("bravo", str(lesion_file(tmp_path / "l.nii.gz", FLIP)))
    assert client.info()["datastore"]["completed"] == before + 1


def test_a_submitted_label_comes_back_voxel_for_voxel(
    client: MONAILabelClient, tmp_path: Path
) -> None:
    client.save_label("bravo", str(lesion_file(tmp_path / "l.nii.gz", FLIP, value=2)))
    label = label_of(client)
    assert (label[LESION] == 2).all()
    assert label.sum() == 2 * 4 * 4 * 2


def test_the_info_that_a_client_sends_with_a_label_is_stored(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    path = str(lesion_file(tmp_path / "l.nii.gz", FLIP))
    client.save_label("bravo", path, params={"reader": "first"})
    address = f"{server.url}/datastore/label/info?label=bravo&tag=final"
    assert requests.get(address, timeout=60).json()["reader"] == "first"


def test_a_second_label_keeps_the_first_which_can_be_restored(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    before = len(versions(server))
    client.save_label("bravo", str(lesion_file(tmp_path / "a.nii.gz", FLIP, value=1)))
    client.save_label("bravo", str(lesion_file(tmp_path / "b.nii.gz", FLIP, value=2)))
    assert label_of(client).max() == 2
    assert len(versions(server)) == before + 2
    restore = f"{server.url}/zeus/labels/bravo/restore"
    requests.post(restore, params={"version": before + 1}, timeout=60).raise_for_status()
    assert label_of(client).max() == 1
    assert len(versions(server)) == before + 3


def test_a_deleted_label_is_not_listed_and_can_be_restored(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    client.save_label("bravo", str(lesion_file(tmp_path / "l.nii.gz", FLIP)))
    number = versions(server)[-1]["version"]
    requests.delete(f"{server.url}/datastore/label?id=bravo&tag=final", timeout=60)
    assert "final" not in client.datastore()["objects"]["bravo"]["labels"]
    restore = f"{server.url}/zeus/labels/bravo/restore"
    requests.post(restore, params={"version": number}, timeout=60).raise_for_status()
    assert label_of(client).max() == 1


def test_a_version_that_does_not_exist_cannot_be_restored(server: Server) -> None:
    restore = f"{server.url}/zeus/labels/bravo/restore"
    assert requests.post(restore, params={"version": 77}, timeout=60).status_code == 404


def test_a_label_drawn_on_a_sequence_is_checked_against_that_sequence(
    client: MONAILabelClient, tmp_path: Path
) -> None:
    flair = np.zeros((12, 10, 6), np.uint8)
    flair[4, 4, 3] = 1
    path = save(tmp_path / "l.nii.gz", flair, affine((2.0, 2.0, 3.0), FLIP))
    client.save_label("bravo/FLAIR", str(path))
    assert np.argwhere(label_of(client, "bravo/FLAIR")).tolist() == [[4, 4, 3]]


def test_a_label_drawn_on_a_sequence_is_downloaded_on_the_grid_of_the_requested_image(
    client: MONAILabelClient, tmp_path: Path
) -> None:
    path = save(tmp_path / "l.nii.gz", np.ones((12, 10, 6), np.uint8), affine((2, 2, 3), FLIP))
    client.save_label("bravo/FLAIR", str(path))
    assert label_of(client).shape == SHAPE


def test_a_label_in_another_storage_order_of_the_same_voxels_is_turned(
    client: MONAILabelClient, tmp_path: Path
) -> None:
    label = np.zeros(SHAPE, np.uint8)
    label[2, 3, 4] = 1
    turned = nib.Nifti1Image(label, affine(flip=FLIP)).as_reoriented(
        np.array([[1, 1], [0, -1], [2, 1]])  # swap the first two axes, flip one
    )
    nib.save(turned, tmp_path / "l.nii.gz")
    client.save_label("bravo", str(tmp_path / "l.nii.gz"))
    assert np.argwhere(label_of(client)).tolist() == [[2, 3, 4]]


@pytest.mark.parametrize(
    "order", [[[0, -1], [1, 1], [2, 1]], [[1, 1], [0, 1], [2, 1]]], ids=["flipped", "swapped"]
)
def test_a_turned_label_of_a_square_image_is_turned_back(
    client: MONAILabelClient, tmp_path: Path, order: list[list[int]]
) -> None:
    if "square" not in client.datastore()["objects"]:
        square = save(tmp_path / "t2.nii.gz", head(51, (24, 24, 6)), affine())
        client.upload_image(str(square), "square")
    label = np.zeros((24, 24, 6), np.uint8)
    label[2:5, 3, 4], label[2, 7, 4] = 1, 2
    turned = nib.Nifti1Image(label, affine()).as_reoriented(np.array(order))
    assert turned.shape == (24, 24, 6)
    nib.save(turned, tmp_path / "l.nii.gz")
    client.save_label("square", str(tmp_path / "l.nii.gz"))
    np.testing.assert_array_equal(label_of(client, "square"), label)


def test_a_label_of_a_2_d_image_may_be_2_d(client: MONAILabelClient, tmp_path: Path) -> None:
    client.upload_image(str(save(tmp_path / "t2.nii.gz", head(50)[:, :, 3], affine())), "thin")
    label = np.zeros(SHAPE[:2], np.uint8)
    label[2, 3] = 1
    client.save_label("thin", str(save(tmp_path / "l.nii.gz", label, affine())))
    assert np.argwhere(label_of(client, "thin")).tolist() == [[2, 3, 0]]


def test_studies_are_never_written_to(server: Server) -> None:
    names = {path.name for path in (server.studies / "bravo").iterdir()}
    assert names == {"bravo_t2.nii.gz", "bravo_flair.nii.gz"}
