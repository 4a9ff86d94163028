"""OHIF's requests about the series that it shows, in voxels of its own volume.

A study has an axial T2 and four series that are no sequence of the target: sagittal, coronal,
oblique, and axial in reversed order. Truths are worked out in patient coordinates.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import requests

from tests.dicom.mr_series import ORIENTATIONS, Plan, marks, write_mr_series
from tests.server import running
from tests.server.conftest import serving
from tests.server.viewer_volume import NRRD, ViewerVolume, opened, voxels_of

CENTRE_LPS = np.array([3.13, -7.41, 11.77])
REFERENCE = Plan(shape=(40, 36, 25), spacing_mm=(1.2, 1.0), step_mm=2.0)
SMALL = Plan(shape=(15, 11, 9), spacing_mm=(1.25, 0.75), step_mm=3.0)
PLANS = {
    "axial": replace(SMALL, description="dwi_tra"),
    "reversed": replace(SMALL, description="adc_tra", step_mm=-3.0),
    **{
        name: replace(SMALL, description=f"t2_{name}", orientation=ORIENTATIONS[name])
        for name in ("sagittal", "coronal", "oblique")
    },
}
SERIES = [*PLANS, "reference"]
CLICKS = [(2, 7, 6), (12, 3, 1), (7, 5, 4)]


def around(plan: Plan, centre_lps: npt.NDArray[np.float64]) -> Plan:
    """The same series, its middle at a point."""
    middle = (np.array(plan.shape) - 1) / 2
    start = centre_lps - plan.affine_lps[:3, :3] @ middle
    return replace(plan, origin_lps=tuple(start.tolist()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "studies"
    write_mr_series(folder / "anna" / "reference", around(REFERENCE, CENTRE_LPS + 0.19))
    for name, plan in PLANS.items():
        write_mr_series(folder / "anna" / name, around(plan, CENTRE_LPS))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    yield from serving(folder, tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def uids(folder: Path) -> dict[str, str]:
    """Name of a series -> its UID."""
    files = {name: next((folder / "anna" / name).iterdir()) for name in SERIES}
    return {name: str(pydicom.dcmread(file).SeriesInstanceUID) for name, file in files.items()}


def shown(server: running.Server, uid: str) -> ViewerVolume:
    return opened(server, REFERENCE.study_uid, uid)


def infer(server: running.Server, model: str, image: str, **params: Any) -> bytes:
    """An answer as OHIF asks for it."""
    response = requests.post(
        f"{server.url}/infer/{model}",
        params={"image": image, "output": "image"},
        files={"params": (None, json.dumps({**params, **NRRD}))},
        timeout=60,
    )
    assert response.status_code == 200, response.text
    return bytes(response.content)


def looked_up(
    labels: npt.NDArray[Any], source: ViewerVolume, target: ViewerVolume
) -> npt.NDArray[Any]:
    """The labels of one volume at the voxel centres of another; 0 outside."""
    voxels = source.index(target.centres_lps)
    is_inside = ((voxels >= 0) & (voxels < labels.shape)).all(axis=-1)
    found = labels[tuple(np.clip(voxels, 0, np.array(labels.shape) - 1).reshape(-1, 3).T)]
    return np.where(is_inside, found.reshape(target.shape), 0)


@pytest.mark.parametrize("name", SERIES)
def test_the_viewer_and_zeus_order_voxels_alike(
    server: running.Server, uids: dict[str, str], name: str
) -> None:
    """Zeus's grid comes back as the affine of the series' NIfTI file, in RAS."""
    volume = shown(server, uids[name])
    content = requests.get(
        f"{server.url}/datastore/image", params={"image": uids[name]}, timeout=60
    ).content
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    assert image.shape == volume.shape
    affine_lps = np.diag([-1, -1, 1, 1]) @ image.affine
    np.testing.assert_allclose(affine_lps, volume.affine_lps, atol=1e-4)


@pytest.mark.parametrize("voxel", CLICKS)
@pytest.mark.parametrize("name", SERIES)
def test_a_click_marks_the_point_in_the_patient_that_was_clicked(
    server: running.Server, uids: dict[str, str], name: str, voxel: tuple[int, int, int]
) -> None:
    """The fake model marks one voxel of the T2: the one that holds the clicked point."""
    volume, reference = shown(server, uids[name]), shown(server, uids["reference"])
    nrrd = infer(server, "clicks_3d", uids[name], foreground=[voxel], background=[])
    clicked_lps = volume.centres_lps[voxel]
    clicked = np.zeros(reference.shape, np.uint8)
    clicked[tuple(reference.index(clicked_lps))] = 1
    expected = looked_up(clicked, reference, volume)
    assert expected[voxel] == 1
    np.testing.assert_array_equal(voxels_of(nrrd, volume.shape), expected)


@pytest.mark.parametrize("name", SERIES)
def test_a_mask_lies_at_the_same_points_of_the_patient_in_every_series(
    server: running.Server, uids: dict[str, str], name: str, tmp_path: Path
) -> None:
    """A draft without any symmetry, saved for the study, comes back for each series."""
    reference, volume = shown(server, uids["reference"]), shown(server, uids[name])
    labels = np.zeros(reference.shape, np.uint8)
    labels[12:30, 10:26, 8:17] = marks((18, 16, 9), (1, 2, 1, 2))
    submit(server, REFERENCE.study_uid, label_file(tmp_path, labels, reference), tag="draft")
    expected = looked_up(labels, reference, volume)
    assert set(np.unique(expected)) == {0, 1, 2}
    nrrd = infer(server, "draft", uids[name])
    np.testing.assert_array_equal(voxels_of(nrrd, volume.shape), expected)


@pytest.mark.parametrize("name", SERIES)
def test_a_label_is_submitted_on_the_grid_of_a_series(
    server: running.Server, uids: dict[str, str], name: str, tmp_path: Path
) -> None:
    volume = shown(server, uids[name])
    labels = marks(volume.shape, (1, 2, 1, 2)).astype(np.uint8)
    submit(server, uids[name], label_file(tmp_path, labels, volume), tag="final")
    answer = requests.get(
        f"{server.url}/datastore/label", params={"label": uids[name], "tag": "final"}, timeout=60
    )
    image = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    np.testing.assert_array_equal(np.asarray(image.dataobj), labels)


@pytest.mark.parametrize("name", SERIES)
def test_the_model_answers_on_the_grid_of_a_series(
    server: running.Server, uids: dict[str, str], name: str
) -> None:
    volume = shown(server, uids[name])
    assert voxels_of(infer(server, "zeus", uids[name]), volume.shape).shape == volume.shape


def test_several_labels_are_clicked_in_a_series(
    server: running.Server, uids: dict[str, str]
) -> None:
    volume = shown(server, uids["oblique"])
    nrrd = infer(server, "edit", uids["oblique"], lesion=[[2, 7, 6]], cyst=[[12, 3, 1]])
    mask = voxels_of(nrrd, volume.shape)
    assert (mask[2, 7, 6], mask[12, 3, 1]) == (1, 2)


def test_scribbles_are_drawn_in_a_series(
    server: running.Server, uids: dict[str, str], tmp_path: Path
) -> None:
    volume, uid = shown(server, uids["sagittal"]), uids["sagittal"]
    drawn = np.zeros(volume.shape, np.uint8)
    drawn[2, 7, 6] = 3  # on the label
    file = label_file(tmp_path, drawn, volume)
    with file.open("rb") as content:
        answer = requests.put(
            f"{server.url}/zeus/clicks/{uid}/scribbles", files={"file": content}, timeout=60
        )
    assert answer.status_code == 200, answer.text
    nrrd = infer(server, "scribbles", uid, scribbles=True, label="lesion")
    assert voxels_of(nrrd, volume.shape)[2, 7, 6] == 1


def test_a_study_uid_is_a_name_of_its_study(server: running.Server) -> None:
    answer = requests.get(f"{server.url}/zeus/labels/{REFERENCE.study_uid}", timeout=60)
    assert answer.json()["study"] == "anna"


def test_next_sample_names_the_study_and_series_that_ohif_opens(
    server: running.Server, uids: dict[str, str]
) -> None:
    answer = requests.post(
        f"{server.url}/activelearning/random", json={"label_tag": "x"}, timeout=60
    )
    sample = answer.json()
    assert sample["StudyInstanceUID"] == REFERENCE.study_uid
    assert sample["SeriesInstanceUID"] == uids["reference"]
    assert sample["Modality"] == "MR"
    assert requests.get(server.url + sample["RetrieveURL"], timeout=60).status_code == 200
    assert "PatientID" not in sample
    assert "Anna" not in answer.text


def test_no_name_of_a_patient_is_logged(server: running.Server) -> None:
    requests.get(f"{server.url}/proxy/dicom/qido/studies?PatientName=*anna*", timeout=60)
    requests.get(f"{server.url}/proxy/dicom/qido/studies?PatientNam=Anna", timeout=60)
    logs = "".join(path.read_text() for path in server.state.rglob("*.log"))
    assert "dicom/qido/studies" in logs
    assert "Anna" not in logs


def label_file(folder: Path, labels: npt.NDArray[np.uint8], volume: ViewerVolume) -> Path:
    """Labels as a NIfTI file, which has its affine in RAS."""
    image = nib.Nifti1Image(labels, np.diag([-1, -1, 1, 1]) @ volume.affine_lps)
    nib.save(image, folder / "label.nii.gz")
    return folder / "label.nii.gz"


def submit(server: running.Server, image: str, file: Path, *, tag: str) -> None:
    with file.open("rb") as content:
        answer = requests.put(
            f"{server.url}/datastore/label",
            params={"image": image, "tag": tag},
            files={"label": content},
            timeout=60,
        )
    assert answer.status_code == 200, answer.text
