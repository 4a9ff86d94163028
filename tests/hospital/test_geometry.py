"""Voxels and masks keep their place on the whole way: scanner, Orthanc, Zeus, Orthanc, dcmqi."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.dicom.mr_series import AXIAL, ORIENTATIONS, REVERSED, marks, write_mr_series
from tests.dicom.other_programs import itk_labels, itk_series, saved, segments_by_dcmqi
from tests.hospital.examinations import (
    ask,
    assert_same_image,
    downloaded,
    get_json,
    objects_of,
    started_orthanc,
    started_zeus,
)
from tests.server.running import Server
from zeus_app.commands.hospital.orthanc import Orthanc

pytestmark = [pytest.mark.orthanc, pytest.mark.slow]

PLANS = {name: replace(AXIAL, orientation=o) for name, o in ORIENTATIONS.items()}
PLANS |= {"reversed": REVERSED, "oblique, reversed": replace(PLANS["oblique"], step_mm=-3.0)}
LESION, CYST = 1, 2


@dataclass(frozen=True)
class Marked:
    """A series whose pixels tell their label, in a study of its own.

    Attributes:
        folder: of its files.
        study_uid, uid: its Study and Series Instance UID.
    """

    folder: Path
    study_uid: str
    uid: str


def write_marked(folder: Path, name: str, number: int) -> Marked:
    plan = replace(
        PLANS[name],
        study_uid=f"1.2.826.0.1.3680043.8.498.77.{number}",
        frame_of_reference=f"1.2.826.0.1.3680043.8.498.78.{number}",
    )
    files = write_mr_series(folder, plan, marks(plan.shape, (LESION, CYST)))
    return Marked(folder, plan.study_uid, str(pydicom.dcmread(files[0]).SeriesInstanceUID))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Marked]:
    folder = tmp_path_factory.mktemp("marked")
    return {
        name: write_marked(folder / str(number), name, number) for number, name in enumerate(PLANS)
    }


@pytest.fixture(scope="module")
def hospital(
    series: Mapping[str, Marked], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Orthanc, Server]]:
    """An Orthanc with all series, and a server that may write to it."""
    with ExitStack() as stack:
        pacs = stack.enter_context(started_orthanc(tmp_path_factory.mktemp("pacs")))
        for one in series.values():
            pacs.upload(sorted(one.folder.iterdir()))
        state = tmp_path_factory.mktemp("state")
        yield pacs, stack.enter_context(started_zeus(pacs, state, pacs_write="true"))


@pytest.mark.parametrize("name", PLANS)
def test_a_client_downloads_the_volume_that_simpleitk_reads(
    hospital: tuple[Orthanc, Server], series: Mapping[str, Marked], name: str, tmp_path: Path
) -> None:
    _, zeus = hospital
    expected = itk_series(series[name].folder)
    assert_same_image(downloaded(zeus, series[name].uid, tmp_path), expected)


@pytest.mark.parametrize("name", PLANS)
def test_the_seg_in_the_pacs_marks_the_voxels_of_the_submitted_label(
    hospital: tuple[Orthanc, Server], series: Mapping[str, Marked], name: str, tmp_path: Path
) -> None:
    pacs, zeus = hospital
    marked = series[name]
    submit(zeus, marked, tmp_path)
    made = ask(zeus, "POST", f"/zeus/results/{marked.study_uid}")
    assert made.ok, made.text
    (data,) = objects_of(pacs, marked.study_uid, "SEG")
    segments = segments_by_dcmqi(
        saved(data, tmp_path / "seg.dcm"), tmp_path / "dcmqi", itk_series(marked.folder)
    )
    truth = itk_labels(marked.folder)
    assert segments.keys() == {LESION, CYST}
    for value, mask in segments.items():
        np.testing.assert_array_equal(mask, truth == value)


def submit(zeus: Server, marked: Marked, folder: Path) -> None:
    """Submit the labels that the pixels tell, on the grid that SimpleITK reads."""
    label = sitk.GetImageFromArray(itk_labels(marked.folder).astype(np.uint8))
    label.CopyInformation(itk_series(marked.folder))
    sitk.WriteImage(label, str(folder / "label.nii.gz"))
    with (folder / "label.nii.gz").open("rb") as file:
        answer = ask(
            zeus, "PUT", "/datastore/label",
            params={"image": marked.study_uid, "tag": "final"}, files={"label": file},
        )  # fmt: skip
    assert answer.ok, answer.text


def test_the_pacs_shows_one_study_for_each_series(
    hospital: tuple[Orthanc, Server], series: Mapping[str, Marked]
) -> None:
    _, zeus = hospital
    listed = get_json(zeus, "/zeus/studies")["studies"]
    assert listed.keys() == {one.study_uid for one in series.values()}
