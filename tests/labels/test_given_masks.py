"""A folder of masks that lies apart from the studies."""

from pathlib import Path

import numpy as np
import pytest

from tests.studies.tiny_files import nifti
from zeus_app.errors import InputError
from zeus_app.labels.files import read_label
from zeus_app.labels.import_labels import Outcome, import_into_store, summary
from zeus_app.labels.versions import FINAL, LabelHistory
from zeus_app.settings.config import ZeusConfig

LABEL = np.ones((4, 4, 3), np.uint8)


@pytest.fixture
def config(tmp_path: Path) -> ZeusConfig:
    for name in ("anna", "anna2", "bert"):
        nifti(tmp_path / "studies" / name / "t2.nii.gz")
    return ZeusConfig(target="phantom", state=tmp_path / "state")


def imported(
    folder: Path, config: ZeusConfig, masks: str = "masks", *, pattern: str | None = None
) -> dict[str, str]:
    """Study -> the mask that is now its label, below the folder of masks."""
    lines = list(
        import_into_store(folder / "studies", config, masks=folder / masks, pattern=pattern)
    )
    assert summary(lines)
    return {
        line.study_id: str(Path(line.text).relative_to(folder / masks))
        for line in lines
        if line.outcome is Outcome.IMPORTED
    }


@pytest.mark.parametrize(
    "names",
    [
        {"anna": "anna.nii.gz", "anna2": "anna2.nii.gz", "bert": "bert.nii.gz"},
        {"anna": "anna_seg.nii.gz", "bert": "bert-mask.nii.gz"},
        {"anna": "anna/seg.nii.gz", "anna2": "anna2/mask.nii.gz"},
        {"bert": "by hand/bert/1.nii.gz"},
    ],
)
def test_a_mask_tells_its_study_by_its_name_or_by_a_folder(
    names: dict[str, str], tmp_path: Path, config: ZeusConfig
) -> None:
    for name in names.values():
        nifti(tmp_path / "masks" / name, LABEL)
    assert imported(tmp_path, config) == names
    history = LabelHistory(tmp_path / "state" / "phantom" / "labels")
    for study in names:
        newest = history.newest(study, FINAL)
        assert newest is not None
        np.testing.assert_array_equal(read_label(newest.path).array, LABEL)


def test_subject_and_session_are_told_by_two_folders(tmp_path: Path) -> None:
    for session in ("ses-1", "ses-2"):
        stem = f"sub-01_{session}"
        nifti(tmp_path / "studies" / "sub-01" / session / "anat" / f"{stem}_T2w.nii.gz")
        nifti(tmp_path / "masks" / "sub-01" / session / "seg.nii.gz", LABEL)
    config = ZeusConfig(target="phantom", state=tmp_path / "state")
    found = imported(tmp_path, config)
    assert sorted(found.values()) == [
        "sub-01/ses-1/seg.nii.gz", "sub-01/ses-2/seg.nii.gz"
    ]  # fmt: skip
    assert all("ses-1" in study for study, path in found.items() if "ses-1" in path)


def test_a_mask_of_no_study_is_told_and_the_masks_among_the_studies_do_not_count(
    tmp_path: Path, config: ZeusConfig
) -> None:
    nifti(tmp_path / "studies" / "anna" / "anna_seg.nii.gz", LABEL)
    nifti(tmp_path / "masks" / "carl.nii.gz", LABEL)
    lines = list(import_into_store(tmp_path / "studies", config, masks=tmp_path / "masks"))
    assert {line.outcome for line in lines} == {Outcome.NO_MASK, Outcome.NOT_TAKEN}
    (stray,) = [line for line in lines if line.outcome is Outcome.NOT_TAKEN]
    assert "carl.nii.gz" in stray.text


def test_the_checks_are_those_of_the_import(tmp_path: Path, config: ZeusConfig) -> None:
    nifti(tmp_path / "masks" / "anna.nii.gz", LABEL, np.diag([3.0, 3.0, 3.0, 1.0]))
    nifti(tmp_path / "masks" / "anna2.nii.gz", 9 * LABEL)
    nifti(tmp_path / "masks" / "bert_nnunet.nii.gz", LABEL)
    lines = list(import_into_store(tmp_path / "studies", config, masks=tmp_path / "masks"))
    texts = {line.study_id: line.text for line in lines}
    assert "grid of no sequence" in texts["anna"]
    assert "values 9 are no label" in texts["anna2"]
    assert "only masks that a machine drew" in texts["bert"]


def test_a_folder_of_masks_among_the_studies_is_no_study(
    tmp_path: Path, config: ZeusConfig
) -> None:
    nifti(tmp_path / "studies" / "drawn" / "anna_t2.nii.gz", LABEL)
    assert imported(tmp_path, config, "studies/drawn", pattern="anna*") == {
        "anna": "anna_t2.nii.gz"
    }


def test_a_missing_folder_of_masks_is_refused(tmp_path: Path, config: ZeusConfig) -> None:
    with pytest.raises(InputError, match="folder of masks"):
        list(import_into_store(tmp_path / "studies", config, masks=tmp_path / "none"))
