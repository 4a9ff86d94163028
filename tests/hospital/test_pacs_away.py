"""A PACS that ends in the middle of the work, and comes back.

The tests share one PACS and one server, and run in this order.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
import SimpleITK as sitk

from tests.dicom.other_programs import itk_series
from tests.hospital.examinations import (
    ask,
    assert_same_image,
    downloaded,
    get_json,
    objects_of,
    series_folder,
    started_zeus,
    true_labels,
    write_examination,
)
from tests.server.running import Server, free_port
from tests.waiting import wait_until
from zeus_app.commands.hospital.orthanc import Orthanc
from zeus_app.commands.hospital.sample_dicom import DicomStudy

pytestmark = [pytest.mark.orthanc, pytest.mark.slow]

NAMES = ("opened", "untouched", "new")
SEEN_S = 90


@dataclass
class Hospital:
    """An Orthanc that can be ended and started again on the same port, and its Zeus.

    Attributes:
        pacs: the Orthanc.
        zeus: the server.
        studies: name -> examination. The last one comes later.
        runs: ends the Orthanc that runs now.
    """

    pacs: Orthanc
    zeus: Server
    studies: dict[str, DicomStudy]
    runs: ExitStack = field(default_factory=ExitStack)

    def infer(self, name: str, model: str = "zeus", params: str = "{}") -> requests.Response:
        """The answer to an inference."""
        image = {"image": self.studies[name].uid, "output": "image"}
        return ask(self.zeus, "POST", f"/infer/{model}", params=image, data={"params": params})

    def listed(self) -> set[str]:
        """The names of the studies that Zeus lists."""
        listed = get_json(self.zeus, "/zeus/studies")["studies"]
        return {name for name, study in self.studies.items() if study.uid in listed}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """The PACS has ended after the first study was opened."""
    folder = tmp_path_factory.mktemp("away")
    studies = {name: write_examination(folder, name, seed) for seed, name in enumerate(NAMES)}
    pacs = Orthanc(folder / "pacs", port=free_port())
    with ExitStack() as stack:
        runs = stack.enter_context(ExitStack())
        runs.enter_context(pacs)
        for name in NAMES[:2]:
            pacs.upload(studies[name].files)
        zeus = stack.enter_context(started_zeus(pacs, folder / "state", pacs_write="true"))
        started = Hospital(pacs, zeus, studies, runs)
        assert started.infer("opened").ok
        runs.close()
        yield started


def test_the_list_stays(hospital: Hospital) -> None:
    assert hospital.pacs.has_ended
    assert hospital.listed() == {"opened", "untouched"}
    assert get_json(hospital.zeus, "/info/")["datastore"]["total"] == 2
    assert get_json(hospital.zeus, "/zeus/segmentations")["segmentations"] == []


def test_a_study_that_is_here_is_opened_segmented_and_clicked(
    hospital: Hospital, tmp_path: Path
) -> None:
    study = hospital.studies["opened"]
    image = downloaded(hospital.zeus, study.uid, tmp_path)
    assert_same_image(image, itk_series(series_folder(study, "T2")))
    assert hospital.infer("opened").ok
    click = '{"label": "lesion", "foreground": [[9, 10, 2]], "background": []}'
    assert hospital.infer("opened", "clicks", click).ok


def test_a_study_that_is_not_here_is_refused_with_the_reason_and_stays_listed(
    hospital: Hospital,
) -> None:
    untouched = {"image": hospital.studies["untouched"].uid}
    for answer in (
        ask(hospital.zeus, "GET", "/datastore/image", params=untouched),
        hospital.infer("untouched"),
        ask(
            hospital.zeus,
            "PUT",
            "/datastore/label",
            params=untouched,
            files={"label": ("label.nii.gz", b"x")},
        ),
    ):
        assert answer.status_code == 503, answer.text
        told = answer.json()["detail"]
        assert f"the PACS at {hospital.pacs.dicomweb_url} does not answer" in told
        assert "check that it runs" in told
    assert hospital.listed() == {"opened", "untouched"}


def test_a_series_that_zeus_does_not_know_is_not_called_unknown(hospital: Hospital) -> None:
    series = hospital.studies["untouched"].series["T2"].uid
    answer = ask(hospital.zeus, "GET", "/datastore/image", params={"image": series})
    assert answer.status_code == 503, answer.text


def test_a_label_is_saved_and_its_result_waits(hospital: Hospital, tmp_path: Path) -> None:
    study = hospital.studies["opened"]
    sitk.WriteImage(true_labels(study), str(tmp_path / "label.nii.gz"))
    params = {"image": study.uid, "tag": "final"}
    with (tmp_path / "label.nii.gz").open("rb") as file:
        saved = ask(hospital.zeus, "PUT", "/datastore/label", params=params, files={"label": file})
    assert saved.ok, saved.text
    made = ask(hospital.zeus, "POST", f"/zeus/results/{study.uid}")
    assert made.ok, made.text
    assert [one["delivery"] for one in made.json()["results"]] == ["failed", "failed"]


def test_all_goes_on_when_the_pacs_is_back(hospital: Hospital, tmp_path: Path) -> None:
    hospital.runs.enter_context(hospital.pacs)
    study = hospital.studies["untouched"]
    image = downloaded(hospital.zeus, study.uid, tmp_path)
    assert_same_image(image, itk_series(series_folder(study, "T2")))
    assert hospital.infer("untouched").ok


def test_a_result_that_waited_is_sent_when_a_client_asks(hospital: Hospital) -> None:
    uid = hospital.studies["opened"].uid
    assert objects_of(hospital.pacs, uid, "SEG") == []  # not by itself
    for one in get_json(hospital.zeus, f"/zeus/results/{uid}")["results"]:
        sent = ask(hospital.zeus, "POST", one["send"])
        assert sent.json()["sent"], sent.text
    assert len(objects_of(hospital.pacs, uid, "SEG")) == 1


def test_a_new_study_is_seen_again(hospital: Hospital) -> None:
    hospital.pacs.upload(hospital.studies["new"].files)
    wait_until(lambda: "new" in hospital.listed(), timeout_s=SEEN_S, poll_s=0.5)


def test_no_fault_is_in_the_log(hospital: Hospital) -> None:
    assert "Traceback" not in hospital.zeus.log_text()
