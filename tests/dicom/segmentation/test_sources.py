"""The references of a SEG to its source images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.dicom.enhanced_files import Frame, enhanced_mr
from tests.dicom.mr_series import AXIAL, FOUR_LABELS, ORIENTATIONS, Plan, label_map_of, mr_source
from tests.dicom.other_programs import errors_of, saved
from zeus_app.dicom.segmentation.writing import Authorship, write_segmentation
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.types import Volume

# Slices 2.5 mm thick at 12.25, 15.25, ... 36.25 mm. Label 1 lies on slices 1 to 3.
COARSE = replace(AXIAL, shape=(7, 5, 3), step_mm=6.0, spacing_mm=(2.5, 1.5), description="flair")


def written(tmp_path: Path, *others: Plan) -> tuple[Dataset, list[DicomSeriesSource]]:
    """A SEG of label 1 alone, with the reference and the other series."""
    sources = [
        mr_source(
            tmp_path / str(number), plan, None if plan is AXIAL else np.zeros(plan.shape, int)
        )
        for number, plan in enumerate((AXIAL, *others))
    ]
    labels = label_map_of(sources[0])
    mask = Volume((labels.array == 1).astype(np.uint8), labels.affine_ras)
    seg = write_segmentation(
        mask, target=FOUR_LABELS, reference=sources[0], authorship=Authorship("MANUAL"),
        others=sources[1:],
    )  # fmt: skip
    return seg, sources


def series_uids(sources: list[DicomSeriesSource]) -> list[str]:
    return [str(pydicom.dcmread(s.paths[0]).SeriesInstanceUID) for s in sources]


def image_uids(source: DicomSeriesSource) -> list[str]:
    return [str(pydicom.dcmread(path).SOPInstanceUID) for path in source.paths]


def references(seg: Dataset) -> dict[float, list[str]]:
    """Position of each frame in mm -> the images that it refers to."""
    return {
        float(frame.PlanePositionSequence[0].ImagePositionPatient[2]): [
            str(item.ReferencedSOPInstanceUID)
            for item in frame.DerivationImageSequence[0].SourceImageSequence
        ]
        for frame in seg.PerFrameFunctionalGroupsSequence
    }


def test_a_frame_refers_to_the_slice_at_its_place(tmp_path: Path) -> None:
    seg, (source,) = written(tmp_path)
    uids = image_uids(source)
    assert references(seg) == {15.25: [uids[1]], 18.25: [uids[2]], 21.25: [uids[3]]}


def test_a_frame_refers_to_the_slice_of_another_series_in_its_plane(tmp_path: Path) -> None:
    """The other series has slices at 12.25, 18.25 and 24.25 mm, each 2.5 mm thick."""
    seg, (source, other) = written(tmp_path, COARSE)
    uids, others = image_uids(source), image_uids(other)
    assert references(seg) == {15.25: [uids[1]], 18.25: [uids[2], others[1]], 21.25: [uids[3]]}


def test_the_list_of_series_has_the_whole_reference_and_what_frames_refer_to(
    tmp_path: Path,
) -> None:
    seg, sources = written(tmp_path, COARSE)
    assert [item.SeriesInstanceUID for item in seg.ReferencedSeriesSequence] == series_uids(sources)
    counts = [len(item.ReferencedInstanceSequence) for item in seg.ReferencedSeriesSequence]
    assert counts == [9, 1]


@pytest.mark.parametrize(
    "other",
    [
        replace(COARSE, frame_of_reference="1.2.826.0.1.3680043.8.498.77"),
        replace(COARSE, orientation=ORIENTATIONS["sagittal"]),
        replace(COARSE, origin_lps=(-20.0, 31.5, 112.25)),
        replace(COARSE, origin_lps=(500.0, 31.5, 12.25)),
        replace(COARSE, thickness_mm=0.1, origin_lps=(-20.0, 31.5, 12.5)),
    ],
    ids=["other frame of reference", "sagittal", "above", "beside", "thin slices between"],
)
def test_a_series_that_no_frame_refers_to_is_not_listed(other: Plan, tmp_path: Path) -> None:
    seg, sources = written(tmp_path, other)
    assert [i.SeriesInstanceUID for i in seg.ReferencedSeriesSequence] == series_uids(sources)[:1]


def test_the_numbers_of_dimensions_count_along_the_slices(tmp_path: Path) -> None:
    seg, _ = written(tmp_path)
    frames = seg.PerFrameFunctionalGroupsSequence
    places = [
        (float(f.PlanePositionSequence[0].ImagePositionPatient[2]),
         list(f.FrameContentSequence[0].DimensionIndexValues))
        for f in frames
    ]  # fmt: skip
    assert sorted(places) == [(15.25, [1, 1]), (18.25, [1, 2]), (21.25, [1, 3])]


def test_files_of_another_grid_are_refused(tmp_path: Path) -> None:
    labels = label_map_of(mr_source(tmp_path / "t2"))
    with pytest.raises(InputError, match="DICOM files without 9 of the 9 slices of the mask"):
        write_segmentation(
            labels, target=FOUR_LABELS, reference=mr_source(tmp_path / "other", COARSE),
            authorship=Authorship("MANUAL"),
        )  # fmt: skip


def test_a_series_without_a_frame_of_reference_is_refused(tmp_path: Path) -> None:
    source = mr_source(tmp_path / "t2")
    labels = label_map_of(source)
    for path in source.paths:
        image = pydicom.dcmread(path)
        del image.FrameOfReferenceUID
        image.save_as(path)
    with pytest.raises(InputError, match="a DICOM series without FrameOfReferenceUID"):
        write_segmentation(
            labels, target=FOUR_LABELS, reference=source, authorship=Authorship("MANUAL")
        )


def test_a_frame_of_an_enhanced_source_is_named_by_its_number(tmp_path: Path) -> None:
    """Frames 2, 4 and 6 of the file have the b-value that the sequence is taken from."""
    frames = [Frame((0, 0, 3 * k), b_value=b) for k in range(3) for b in (50, 1400)]
    file = enhanced_mr(tmp_path / "p" / "1.dcm", frames, "ep2d_diff")
    source = find_studies(tmp_path, load_target("prostate")).studies["p"].sources["HBV"]
    assert isinstance(source, DicomSeriesSource)
    mask = np.zeros(source.grid().shape, np.uint8)
    mask[1, 2, 1:] = 1
    seg = write_segmentation(
        Volume(mask, source.grid().affine_ras), target=load_target("prostate"), reference=source,
        authorship=Authorship("MANUAL"),
    )  # fmt: skip
    items = [frame.DerivationImageSequence[0].SourceImageSequence[0]
             for frame in seg.PerFrameFunctionalGroupsSequence]  # fmt: skip
    assert [item.ReferencedFrameNumber for item in items] == [4, 6]
    (series,) = seg.ReferencedSeriesSequence
    assert len(series.ReferencedInstanceSequence) == 1
    assert errors_of(saved(seg, tmp_path / "seg.dcm")) - errors_of(file) == set()
