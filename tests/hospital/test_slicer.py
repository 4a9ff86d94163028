"""3D Slicer's client code against a Zeus whose studies are in a PACS.

The steps share one server and one annotator, and run in this order. They call what Slicer's module
of MONAI Label calls; tests/server/test_slicer.py does the same with a folder.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import SimpleITK as sitk
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException, MONAILabelUtils

from tests.dicom.other_programs import itk_series
from tests.hospital.examinations import (
    LESION_VOXELS,
    NAMES,
    assert_same_grid,
    assert_same_image,
    series_folder,
    started_orthanc,
    started_zeus,
    true_labels,
    write_examination,
)
from tests.server.annotator import AS_SLICER_READS
from tests.waiting import wait_until
from zeus_app.commands.hospital.sample_dicom import DicomStudy

pytestmark = [pytest.mark.orthanc, pytest.mark.slow]

VOXEL, OTHER = [9, 10, 2], [17, 4, 2]
SEGMENTS = [{"name": name, "idx": value} for value, name in NAMES.items()]
TASK_S = 120
Answer = dict[str, Any]


class Annotator:
    """One user's Slicer: the stock client, the study that is open, and files on its disk.

    Attributes:
        client: the stock client.
        studies: UID -> examination.
        folder: for files.
        sample: what Next Sample answered.
        session: id of the open session.
    """

    def __init__(
        self, client: MONAILabelClient, studies: dict[str, DicomStudy], folder: Path
    ) -> None:
        self.client, self.studies, self.folder = client, studies, folder
        self.sample: Answer = {}
        self.session = ""

    @property
    def study(self) -> DicomStudy:
        """The open study."""
        return self.studies[self.sample["id"]]

    def volume(self, sequence: str = "T2") -> sitk.Image:
        """A sequence of the open study, as SimpleITK reads its DICOM files."""
        return itk_series(series_folder(self.study, sequence))

    def download(self, sample: Answer) -> sitk.Image:
        """Load a sample as Slicer on another machine does."""
        uri = f"{self.client.get_server_url()}/datastore/image"
        answer = requests.get(uri, params={"image": sample["id"]}, timeout=TASK_S)
        path = self.folder / sample["name"]
        path.write_bytes(answer.content)
        return sitk.ReadImage(str(path))

    def infer(self, model: str, image: str = "", **params: Any) -> sitk.Image:
        """A mask of an image, or of the open session, as Slicer reads it."""
        session = None if image else self.session
        file, _ = self.client.infer(model, image, {**AS_SLICER_READS, **params}, session_id=session)
        return sitk.ReadImage(file)

    def click(self, model: str, image: str, voxel: list[int]) -> list[list[int]]:
        """The voxels, x first, that a click for a lesion marks."""
        mask = self.infer(model, image, label="lesion", foreground=[voxel], background=[])
        voxels: list[list[int]] = np.argwhere(sitk.GetArrayFromImage(mask).T).tolist()
        return voxels

    def open_session(self, files: list[Path], **query: str) -> None:
        """Send files, as `create_session` sends one."""
        words = "&".join(f"{key}={value}" for key, value in query.items())
        status, answer, _ = MONAILabelUtils.http_upload(
            "PUT", self.client.get_server_url(), f"/session/?{words}", {}, [*map(str, files)]
        )
        assert status == 200, answer
        self.session = json.loads(answer)["session_id"]

    def label_file(self, name: str) -> str:
        """The true labels of the open study in a file of this name."""
        image = true_labels(self.study)
        if name.endswith(".seg.nrrd"):
            for number, (value, label) in enumerate(NAMES.items()):
                image.SetMetaData(f"Segment{number}_ID", f"Segment_{value}")
                image.SetMetaData(f"Segment{number}_Name", label)
                image.SetMetaData(f"Segment{number}_LabelValue", str(value))
        sitk.WriteImage(image, str(self.folder / name))
        return str(self.folder / name)

    def label(self, tag: str) -> sitk.Image:
        """The label of the open study that the server holds."""
        return sitk.ReadImage(self.client.download_label(self.study.uid, tag))


def reads_what_the_server_can_do(slicer: Annotator) -> None:
    assert slicer.client.auth_enabled() is False
    info = slicer.client.info()
    assert {"zeus", "clicks", "clicks_3d", "edit"} <= set(info["models"])
    assert info["datastore"]["total"] == len(slicer.studies)


def lists_the_studies(slicer: Annotator) -> None:
    assert slicer.client.datastore()["objects"].keys() == slicer.studies.keys()


def takes_the_first_sample(slicer: Annotator) -> None:
    slicer.sample = slicer.client.next_sample("first", {})
    assert slicer.sample["id"] in slicer.studies
    assert slicer.sample["sequences"] == ["T2", "FLAIR"]


def opens_the_sample_on_the_machine_of_the_server(slicer: Annotator) -> None:
    assert os.path.exists(slicer.sample["path"])
    assert_same_image(sitk.ReadImage(slicer.sample["path"]), slicer.volume())


def opens_the_sample_on_another_machine(slicer: Annotator) -> None:
    assert_same_image(slicer.download(slicer.sample), slicer.volume())
    if checksum := slicer.sample.get("checksum"):
        kind, _, digest = checksum.partition(":")
        content = (slicer.folder / slicer.sample["name"]).read_bytes()
        assert hashlib.new(kind, content).hexdigest() == digest


def opens_another_sequence_of_the_sample(slicer: Annotator) -> None:
    sample = slicer.client.next_sample("first", {"sequence": "FLAIR"})
    assert sample["id"] == f"{slicer.study.uid}/FLAIR"
    assert_same_image(slicer.download(sample), slicer.volume("FLAIR"))


def segments_automatically(slicer: Annotator) -> None:
    mask = slicer.infer("zeus", slicer.study.uid)
    assert_same_grid(mask, slicer.volume())
    assert not sitk.GetArrayFromImage(mask).any()


def downloads_the_prediction(slicer: Annotator) -> None:
    assert_same_grid(slicer.label("original"), slicer.volume())


def clicks_in_2d_and_3d(slicer: Annotator) -> None:
    for model in ("clicks", "clicks_3d"):
        assert slicer.click(model, slicer.study.uid, VOXEL) == [VOXEL]


def clicks_on_a_series(slicer: Annotator) -> None:
    """OHIF names a Series Instance UID."""
    assert slicer.click("clicks", slicer.study.series["T2"].uid, OTHER) == [OTHER]


def clicks_on_a_sequence(slicer: Annotator) -> None:
    assert slicer.click("clicks", f"{slicer.study.uid}/T2", VOXEL) == [VOXEL]


def gets_the_mask_on_the_grid_of_the_image_that_it_names(slicer: Annotator) -> None:
    for image in (f"{slicer.study.uid}/FLAIR", slicer.study.series["FLAIR"].uid):
        click = {"label": "lesion", "foreground": [[4, 5, 2]], "background": []}
        assert_same_grid(slicer.infer("clicks", image, **click), slicer.volume("FLAIR"))


def edits_with_points_by_label(slicer: Annotator) -> None:
    mask = slicer.infer("edit", slicer.study.uid, lesion=[VOXEL], background=[])
    assert mask[VOXEL] == 1


def saves_a_draft(slicer: Annotator) -> None:
    params = {"label_info": [*SEGMENTS, {"name": "draft", "idx": 3}]}
    answer = slicer.client.save_label(
        slicer.study.uid, slicer.label_file("draft.nii.gz"), params=params
    )
    assert answer["tag"] == "draft"
    assert slicer.client.next_sample("drafts", {})["id"] == slicer.study.uid
    assert_same_image(slicer.infer("draft", slicer.study.uid), true_labels(slicer.study))


def submits_nifti(slicer: Annotator) -> None:
    file = slicer.label_file("label.nii.gz")
    slicer.client.save_label(slicer.study.uid, file, params={"label_info": SEGMENTS})
    assert_same_image(slicer.label("final"), true_labels(slicer.study))


def submits_a_segmentation_with_names(slicer: Annotator) -> None:
    slicer.client.save_label(slicer.study.uid, slicer.label_file("label.seg.nrrd"), params={})
    assert_same_image(slicer.label("final"), true_labels(slicer.study))


def submits_on_a_series(slicer: Annotator) -> None:
    file = slicer.label_file("series.nii.gz")
    series = slicer.study.series["T2"].uid
    answer = slicer.client.save_label(series, file, params={"label_info": SEGMENTS})
    assert answer["label"] == slicer.study.uid


def is_offered_the_next_study(slicer: Annotator) -> None:
    assert slicer.client.info()["datastore"]["completed"] == 1
    assert slicer.client.next_sample("first", {})["id"] not in ("", slicer.study.uid)


def trains(slicer: Annotator) -> None:
    slicer.client.train_start("zeus", {"epochs": 1})
    wait_until(
        lambda: slicer.client.train_status()["status"] in {"DONE", "ERROR"}, timeout_s=TASK_S
    )
    assert slicer.client.info()["train_stats"]["zeus"]["checkpoint"] == "v0001"


def segments_another_study_with_what_was_learnt(slicer: Annotator) -> None:
    """The fake model has learnt how bright a label is; before, it marked nothing."""
    slicer.sample = slicer.client.next_sample("first", {})
    marked = sitk.GetArrayFromImage(slicer.infer("zeus", slicer.study.uid)) > 0
    lesion = sitk.GetArrayFromImage(true_labels(slicer.study)) == 1
    assert marked[lesion].sum() == LESION_VOXELS


def stops_a_training(slicer: Annotator) -> None:
    slicer.client.train_start("zeus", {"epochs": 100})
    slicer.client.train_stop()
    wait_until(lambda: not slicer.client.train_status(check_if_running=True), timeout_s=TASK_S)


def works_on_a_session_of_several_nifti_files(slicer: Annotator) -> None:
    files = [slicer.folder / "scan_t2.nii.gz", slicer.folder / "scan_flair.nii.gz"]
    for file, sequence in zip(files, ("T2", "FLAIR"), strict=True):
        sitk.WriteImage(slicer.volume(sequence), str(file))
    slicer.open_session(files)
    assert slicer.click("clicks", "", VOXEL) == [VOXEL]
    assert_same_grid(slicer.infer("zeus"), slicer.volume())


def works_on_a_session_of_a_dicom_archive(slicer: Annotator) -> None:
    path = slicer.folder / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in slicer.study.files:
            archive.write(file, f"{file.parent.name}/{file.name}")
    slicer.open_session([path], uncompress="true")
    assert slicer.click("clicks_3d", "", OTHER) == [OTHER]
    assert_same_grid(slicer.infer("zeus"), slicer.volume())


def closes_the_session(slicer: Annotator) -> None:
    slicer.client.remove_session(slicer.session)
    with pytest.raises(MONAILabelClientException):
        slicer.client.get_session(slicer.session)


STEPS: tuple[Callable[[Annotator], None], ...] = (
    reads_what_the_server_can_do, lists_the_studies, takes_the_first_sample,
    opens_the_sample_on_the_machine_of_the_server, opens_the_sample_on_another_machine,
    opens_another_sequence_of_the_sample, segments_automatically, downloads_the_prediction,
    clicks_in_2d_and_3d, clicks_on_a_series, clicks_on_a_sequence,
    gets_the_mask_on_the_grid_of_the_image_that_it_names, edits_with_points_by_label,
    saves_a_draft, submits_nifti, submits_a_segmentation_with_names, submits_on_a_series,
    is_offered_the_next_study, trains, segments_another_study_with_what_was_learnt,
    stops_a_training, works_on_a_session_of_several_nifti_files,
    works_on_a_session_of_a_dicom_archive, closes_the_session,
)  # fmt: skip


@pytest.fixture(scope="module")
def slicer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Annotator]:
    folder = tmp_path_factory.mktemp("slicer")
    made = [write_examination(folder / "studies", f"phantom{seed}", seed) for seed in range(3)]
    with (
        started_orthanc(folder / "pacs", *made) as pacs,
        started_zeus(pacs, folder / "state") as zeus,
    ):
        client = MONAILabelClient(zeus.url, tmpdir=str(folder))
        yield Annotator(client, {study.uid: study for study in made}, folder)
        assert "Traceback" not in zeus.log_text()


@pytest.mark.parametrize("step", STEPS, ids=[step.__name__ for step in STEPS])
def test_slicer(slicer: Annotator, step: Callable[[Annotator], None]) -> None:
    step(slicer)
