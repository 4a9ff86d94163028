"""Answers as DICOM SEG of a real server, for every model, read back with pydicom and dcmqi."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
import SimpleITK as sitk

from tests.dicom.mr_series import AXIAL, ORIENTATIONS, write_mr_series
from tests.dicom.other_programs import errors_of, segments_by_dcmqi
from tests.server import running
from tests.server.conftest import LESION, SHAPE, head, make_study, serving
from tests.waiting import wait_until

# Coronal, so that voxel axes are no patient axes. The pixels are those of `head`, in hundreds.
PLAN = replace(
    AXIAL, orientation=ORIENTATIONS["coronal"], shape=SHAPE, spacing_mm=(1.0, 1.0), step_mm=3.0
)
CLICK = {"lesion": [[9, 10, 2]], "background": []}
PROMPTS: dict[str, dict[str, Any]] = {
    "clicks": {"foreground": [[9, 10, 2]], "label": "lesion"},
    "clicks_3d": {"foreground": [[9, 10, 2]], "label": "lesion"},
    "edit": CLICK,
    "scribbles": CLICK,
    "draft": {},
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dicom") / "studies"
    t2 = head(3) / 100
    t2[LESION] = 9
    write_mr_series(folder / "anna" / "t2", replace(PLAN, description="t2_cor"), t2.astype(int))
    flair = replace(PLAN, description="flair_cor", series_number=5)
    write_mr_series(folder / "anna" / "flair", flair, (head(4) / 100).astype(int))
    make_study(folder, "nifti", 5)
    return folder


@pytest.fixture(scope="module")
def server(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    yield from serving(studies, tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def study(server: running.Server) -> str:
    """The id of the DICOM study. Its draft marks the lesion."""
    listed = requests.get(f"{server.url}/zeus/studies", timeout=60).json()["studies"]
    (name,) = set(listed) - {"nifti"}
    image = itk_image(server, "t2")
    label = np.zeros(SHAPE, np.uint8)
    label[LESION] = 1
    drawn = sitk.GetImageFromArray(np.transpose(label))
    drawn.CopyInformation(image)
    path = server.state / "draft.nii.gz"
    sitk.WriteImage(drawn, path)
    saved = requests.put(
        f"{server.url}/datastore/label",
        params={"image": name, "tag": "draft"},
        files={"label": (path.name, path.read_bytes())},
        timeout=60,
    )
    assert saved.ok, saved.text
    return str(name)


def itk_image(server: running.Server, series: str) -> sitk.Image:
    paths = sorted((server.studies / "anna" / series).iterdir(), reverse=True)
    return sitk.ReadImage([str(path) for path in paths])


def infer(server: running.Server, model: str, image: str, output: str, **more: Any) -> Any:
    return requests.post(
        f"{server.url}/infer/{model}",
        params={"image": image, "output": output, **more},
        data={"params": json.dumps({**PROMPTS.get(model, {}), "result_extension": ".nrrd"})},
        timeout=60,
    )


def saved(response: Any, path: Path) -> Path:
    assert response.status_code == 200, response.text
    path.write_bytes(response.content)
    return path


@pytest.mark.parametrize("model", PROMPTS)
@pytest.mark.parametrize("sequence", ["", "/FLAIR"])
def test_the_seg_of_each_model_has_the_voxels_of_its_mask(
    model: str, sequence: str, server: running.Server, study: str, tmp_path: Path
) -> None:
    image = study + sequence
    mask = sitk.ReadImage(saved(infer(server, model, image, "image"), tmp_path / "mask.nrrd"))
    seg = saved(infer(server, model, image, "dicom_seg"), tmp_path / "seg.dcm")
    assert (sitk.GetArrayFromImage(mask) == 1).any()
    found = segments_by_dcmqi(seg, tmp_path / "dcmqi", mask)
    np.testing.assert_array_equal(found[1], sitk.GetArrayFromImage(mask) == 1)


def test_the_answer_is_a_dicom_file_that_dciodvfy_accepts(
    server: running.Server, study: str, tmp_path: Path
) -> None:
    response = infer(server, "draft", study, "dicom_seg")
    assert response.headers["content-type"] == "application/dicom"
    assert errors_of(saved(response, tmp_path / "seg.dcm")) == set()


def test_an_empty_mask_is_a_valid_answer(
    server: running.Server, study: str, tmp_path: Path
) -> None:
    """The untrained model of these tests marks nothing."""
    path = saved(infer(server, "zeus", study, "dicom_seg"), tmp_path / "seg.dcm")
    data = pydicom.dcmread(path)
    assert not data.pixel_array.any()
    assert [item.SegmentLabel for item in data.SegmentSequence] == ["lesion", "cyst"]
    assert errors_of(path) == set()


def test_a_model_is_automatic_with_its_checkpoint_and_clicks_are_not(
    server: running.Server, study: str, tmp_path: Path
) -> None:
    model, clicks = (
        pydicom.dcmread(saved(infer(server, name, study, "dicom_seg"), tmp_path / name))
        for name in ("zeus", "clicks")
    )
    assert model.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"
    (algorithm,) = model.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmVersion == "checkpoint untrained"
    assert clicks.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"


@pytest.fixture(scope="module")
def of_all_series(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose SEGs refer to all series."""
    conf = {"target": "phantom", "refer_to_all_series": "true"}
    server = running.start(studies, tmp_path_factory.mktemp("all"), conf)
    yield server.url
    running.stop(server)


@pytest.mark.parametrize("expected", [["flair"], ["flair", "t2"]])
def test_the_seg_refers_to_the_requested_series_and_by_a_setting_to_the_others_too(
    expected: list[str], server: running.Server, of_all_series: str, study: str, tmp_path: Path
) -> None:
    asked = server if len(expected) == 1 else replace(server, url=of_all_series)
    response = infer(asked, "zeus", f"{study}/FLAIR", "dicom_seg")
    data = pydicom.dcmread(saved(response, tmp_path / "seg.dcm"))
    uids = [
        pydicom.dcmread(next((server.studies / "anna" / name).iterdir())).SeriesInstanceUID
        for name in expected
    ]
    assert [item.SeriesInstanceUID for item in data.ReferencedSeriesSequence] == uids


def test_a_job_gives_a_seg_too(server: running.Server, study: str, tmp_path: Path) -> None:
    answer = infer(server, "draft", study, "dicom_seg", **{"async": "true"}).json()
    status, result = (server.url + answer[name] for name in ("status", "result"))
    wait_until(lambda: requests.get(status, timeout=60).json()["state"] == "done", timeout_s=60)
    response = requests.get(result, timeout=60)
    data = pydicom.dcmread(saved(response, tmp_path / "seg.dcm"))
    assert data.Modality == "SEG"
    assert data.pixel_array.sum() == 4 * 4 * 2


def test_a_study_that_is_no_dicom_is_told_what_to_send(server: running.Server) -> None:
    for more in ({}, {"async": "true"}):
        response = infer(server, "zeus", "nifti", "dicom_seg", **more)
        assert response.status_code == 400
        assert "send output=image" in response.json()["detail"]


def test_the_dicom_files_of_a_session_have_a_seg(server: running.Server, tmp_path: Path) -> None:
    paths = list((server.studies / "anna" / "t2").iterdir())
    created = requests.put(
        f"{server.url}/session/",
        files=[("files", (path.name, path.read_bytes())) for path in paths],
        timeout=60,
    )
    session = created.json()["session_id"]
    response = infer(server, "clicks", "", "dicom_seg", session_id=session)
    data = pydicom.dcmread(saved(response, tmp_path / "seg.dcm"))
    source = pydicom.dcmread(next((server.studies / "anna" / "t2").iterdir()))
    assert data.StudyInstanceUID == source.StudyInstanceUID
    assert data.pixel_array.any()


def test_a_file_that_comes_along_is_told_what_to_send(server: running.Server) -> None:
    path = next((server.studies / "anna" / "t2").iterdir())
    response = requests.post(
        f"{server.url}/infer/zeus",
        params={"output": "dicom_seg"},
        files={"file": ("t2.dcm", path.read_bytes())},
        timeout=60,
    )
    assert response.status_code == 400
