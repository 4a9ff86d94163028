"""A label is a draft by its tag, or by a segment called "draft", which 3D Slicer can send."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from zeus_app.errors import InputError
from zeus_app.labels.drafts import DRAFT, save_version, tag_of
from zeus_app.labels.segments import with_target_values
from zeus_app.labels.versions import FINAL, LabelHistory
from zeus_app.targets import Label, Target, load_target
from zeus_app.types import Volume

PHANTOM = load_target("phantom")
LESION, MARK = {"name": "lesion", "idx": 1}, {"name": "draft", "idx": 3}


def volume(*values: int) -> Volume:
    array = np.zeros((4, 4, 2), np.uint8)
    array.flat[: len(values)] = values
    return Volume(array, np.eye(4))


def seg_nrrd(path: Path, *names: str) -> Path:
    image = sitk.GetImageFromArray(np.zeros((2, 4, 4), np.uint8))
    for number, name in enumerate(names):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize(
    ("label_info", "tag"),
    [(None, FINAL), ([], FINAL), ([LESION], FINAL), ([LESION, MARK], DRAFT),
     ([{"name": " Draft", "idx": 2}, LESION], DRAFT), ([{"name": "drafty", "idx": 2}], FINAL)],
)  # fmt: skip
def test_a_segment_called_draft_in_the_client_s_list_marks_a_draft(
    label_info: object, tag: str
) -> None:
    assert tag_of(Path("label.nii.gz"), label_info, target=PHANTOM) == tag


def test_a_segment_called_draft_in_the_header_marks_a_draft(tmp_path: Path) -> None:
    marked = seg_nrrd(tmp_path / "a.seg.nrrd", "lesion", "draft")
    assert tag_of(marked, [LESION], target=PHANTOM) == DRAFT
    assert tag_of(seg_nrrd(tmp_path / "b.seg.nrrd", "lesion"), None, target=PHANTOM) == FINAL


def test_a_target_with_a_label_called_draft_has_no_mark() -> None:
    labels = (*PHANTOM.labels, Label(name="draft", value=9))
    target: Target = PHANTOM.model_copy(update={"labels": labels})
    assert tag_of(Path("label.nii.gz"), [LESION, MARK], target=target) == FINAL


def test_voxels_of_the_mark_are_refused_because_they_are_of_no_label() -> None:
    with pytest.raises(InputError) as refused:
        with_target_values(
            volume(1, 3), Path("l.nii.gz"), target=PHANTOM, label_info=[LESION, MARK]
        )
    assert "an empty segment 'draft'" in refused.value.expected
    kept = with_target_values(
        volume(1, 1), Path("l.nii.gz"), target=PHANTOM, label_info=[LESION, MARK]
    )
    assert kept.array.sum() == 2


def test_a_draft_tells_its_labels_and_a_final_label_ends_it(tmp_path: Path) -> None:
    history = LabelHistory(tmp_path)
    for tag, label in ((DRAFT, volume(2, 2)), (DRAFT, volume(1, 2))):
        save_version(history, "anna", tag, label=label, info={"a": 1}, target=PHANTOM)
    draft = history.newest("anna", DRAFT)
    assert draft is not None
    assert draft.info["params"] == {"label_names": {"lesion": 1, "cyst": 2}}
    assert history.newest("anna", FINAL) is None
    save_version(history, "anna", "other", label=volume(1), info={}, target=PHANTOM)
    assert history.newest("anna", DRAFT) is not None
    save_version(history, "anna", FINAL, label=volume(1), info={}, target=PHANTOM)
    assert history.newest("anna", DRAFT) is None
    assert len(history.versions("anna", DRAFT)) == 3  # two drafts and the removal
    assert "params" not in history.versions("anna", FINAL)[0].info
