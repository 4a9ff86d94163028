from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.results.dicom_study import CYST, LESION, DicomServer, labels
from tests.server.segmentations.archive import made_by, segmentation_by_hand
from zeus_app.dicom.segmentation.writing import Authorship, write_segmentation
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.labels.files import read_label
from zeus_app.server.segmentations.taking import SegmentationTaker
from zeus_app.types import Volume


class Scene:
    """A server with one DICOM study, and SEGs of a person for it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.server = DicomServer(folder)
        self.store = self.server.ctx.datastore
        self.labelled: list[str] = []
        self.taker = SegmentationTaker(
            self.store, self.server.ctx.target, on_label=self.labelled.append, **options
        )
        self._folder = folder

    def by_hand(self, **elements: Any) -> Any:
        series = self._folder / "studies" / "anna" / "t2"
        return segmentation_by_hand(series, self._folder / "hand.dcm", **elements)

    @property
    def label(self) -> Any:
        newest = self.store.history.newest(self.server.study, "final")
        return newest and read_label(newest.path).array


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_manual_seg_of_another_program_is_a_final_label_with_the_same_voxels(
    scene: Scene,
) -> None:
    record = scene.taker.take(scene.by_hand())
    assert (record.version, record.reason) == (1, "")
    assert np.array_equal(scene.label, labels(LESION, CYST))
    assert scene.labelled == [scene.server.study]


def test_the_label_tells_its_author_and_where_it_comes_from(scene: Scene) -> None:
    data = scene.by_hand()
    scene.taker.take(data)
    newest = scene.store.history.newest(scene.server.study, "final")
    assert newest is not None
    told = {key: newest.info[key] for key in ("author", "made_by", "segmentation")}
    assert told == {
        "author": "Reader^One",
        "made_by": "MANUAL",
        "segmentation": data.SOPInstanceUID,
    }


def test_one_seg_is_taken_once(scene: Scene) -> None:
    data = scene.by_hand()
    assert [scene.taker.take(data).version for _ in range(2)] == [1, 1]
    assert len(scene.store.history.versions(scene.server.study, "final")) == 1


def test_a_seg_of_a_program_is_listed_and_no_label(scene: Scene) -> None:
    record = scene.taker.take(made_by(scene.by_hand(), "AUTOMATIC"))
    assert record.version == 0
    assert "a program made it" in record.reason
    assert scene.label is None


def test_a_seg_of_a_program_is_a_label_if_a_user_wants_it(scene: Scene) -> None:
    assert scene.taker.take(made_by(scene.by_hand(), "AUTOMATIC"), wanted=True).version == 1


def test_a_setting_names_creators_whose_segs_are_labels(tmp_path: Path) -> None:
    scene = Scene(tmp_path, creators=["reader one"])
    assert scene.taker.take(made_by(scene.by_hand(), "AUTOMATIC")).version == 1


def test_an_empty_setting_names_no_creator(tmp_path: Path) -> None:
    scene = Scene(tmp_path, creators=[""])
    data = made_by(scene.by_hand(ContentCreatorName=""), "AUTOMATIC")
    assert scene.taker.take(data).version == 0


def test_what_zeus_made_itself_is_no_label(scene: Scene) -> None:
    source = scene.store.catalogue.resolve(scene.server.study).files.sources["T2"]
    assert isinstance(source, DicomSeriesSource)
    own = write_segmentation(
        Volume(labels(LESION), source.grid().affine_ras),
        target=scene.server.ctx.target,
        reference=source,
        authorship=Authorship("MANUAL"),
    )
    assert scene.taker.take(own, wanted=True).reason == "Zeus made it itself"


def test_a_seg_of_another_study_is_listed(scene: Scene) -> None:
    record = scene.taker.take(scene.by_hand(StudyInstanceUID="1.2.3.4.5"))
    assert record.reason == "Zeus does not serve its study"


def test_segments_that_are_no_label_of_the_target_are_told(scene: Scene) -> None:
    data = scene.by_hand()
    for segment in data.SegmentSequence:
        segment.SegmentLabel = f"odd {segment.SegmentNumber}"
    record = scene.taker.take(data)
    assert record.reason == "none of its segments is a label of the target: lesion, cyst"
    assert record.notes == (
        "segment 'odd 1' is no label of the target",
        "segment 'odd 2' is no label of the target",
    )


def test_a_damaged_seg_is_listed_with_the_reason(scene: Scene) -> None:
    data = scene.by_hand()
    del data.PixelData
    record = scene.taker.take(data)
    assert (record.version, bool(record.reason)) == (0, True)
    assert (record.study, record.author) == (scene.server.study, "Reader^One")
    assert scene.label is None


def test_a_new_seg_of_a_study_is_a_further_version_of_its_label(scene: Scene) -> None:
    scene.server.submit(labels(LESION))
    assert scene.taker.take(scene.by_hand()).version == 2
    assert len(scene.store.history.versions(scene.server.study, "final")) == 2
