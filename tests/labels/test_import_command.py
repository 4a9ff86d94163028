from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from tests.server.conftest import affine, lesion_file, make_study, save
from zeus_app.commands.main import app
from zeus_app.errors import InputError
from zeus_app.labels.files import read_label
from zeus_app.labels.import_labels import ImportLine, Outcome, import_into_store, summary
from zeus_app.labels.versions import LabelHistory
from zeus_app.server.context import open_context
from zeus_app.settings.config import ZeusConfig
from zeus_app.types import Volume


def told(lines: Iterable[ImportLine]) -> dict[str, str]:
    """Study -> what became of it."""
    return {line.study_id: line.text for line in lines if line.outcome is not Outcome.NOT_TAKEN}


class Import:
    """One study, `alpha`, with a mask beside it, and what importing it does."""

    def __init__(self, folder: Path) -> None:
        self.studies = folder / "studies"
        make_study(self.studies, "alpha", 1)
        self.mask = lesion_file(self.studies / "alpha" / "alpha_seg.nii.gz")
        self.config = ZeusConfig(target="phantom", state=folder / "state")
        self.history = LabelHistory(folder / "state" / "phantom" / "labels")

    def __call__(self, *, replace: bool = False) -> str:
        return told(import_into_store(self.studies, self.config, replace=replace))["alpha"]

    def correct(self, value: int) -> None:
        array = np.zeros((24, 20, 6), np.uint8)
        array[1, 1, 1] = value
        self.history.save("alpha", "final", Volume(array, affine()), {})

    @property
    def final(self) -> npt.NDArray[np.generic]:
        newest = self.history.newest("alpha", "final")
        assert newest is not None
        return read_label(newest.path).array

    @property
    def versions(self) -> int:
        return len(self.history.versions("alpha", "final"))


@pytest.fixture
def import_again(tmp_path: Path) -> Import:
    """A study whose mask was imported once."""
    first = Import(tmp_path)
    first()
    return first


def test_masks_become_final_labels_and_the_rest_is_listed_with_the_reason(tmp_path: Path) -> None:
    for seed, study in enumerate(("alpha", "charlie")):
        make_study(tmp_path / "studies", study, seed)
    lesion_file(tmp_path / "studies" / "alpha" / "alpha_seg.nii.gz", value=2)
    unknown = np.full((24, 20, 6), 9, np.uint8)
    save(tmp_path / "studies" / "charlie" / "charlie_seg.nii.gz", unknown, affine())
    config = ZeusConfig(target="phantom", state=tmp_path / "state")
    results = told(import_into_store(tmp_path / "studies", config))
    assert results["alpha"].endswith("alpha_seg.nii.gz")
    assert results["charlie"].startswith("left out: ")
    newest = LabelHistory(tmp_path / "state" / "phantom" / "labels").newest("alpha", "final")
    assert newest is not None
    assert read_label(newest.path).array.max() == 2


def test_a_mask_beside_a_study_is_no_label_until_it_is_imported(tmp_path: Path) -> None:
    make_study(tmp_path / "studies", "alpha", 1)
    lesion_file(tmp_path / "studies" / "alpha" / "alpha_seg.nii.gz")
    conf = {"target": "phantom", "state": str(tmp_path / "state")}
    opened = open_context(str(tmp_path / "studies"), conf)
    assert opened.datastore.get_labeled_images() == []


def test_a_correction_outlives_another_import(import_again: Import) -> None:
    import_again.correct(2)
    assert import_again().startswith("kept: corrected since")
    assert np.argwhere(import_again.final).tolist() == [[1, 1, 1]]


def test_a_correction_gives_way_when_the_user_says_so(import_again: Import) -> None:
    import_again.correct(2)
    assert import_again(replace=True).endswith("alpha_seg.nii.gz")
    assert import_again.final.sum() == 4 * 4 * 2


def test_an_unchanged_mask_makes_no_new_version(import_again: Import) -> None:
    assert import_again().startswith("kept: unchanged")
    assert import_again.versions == 1


def test_a_mask_that_was_redrawn_since_its_import_is_imported(import_again: Import) -> None:
    lesion_file(import_again.mask, value=2)
    assert import_again().endswith("alpha_seg.nii.gz")
    assert import_again.final.max() == 2


def test_the_folder_may_be_named_another_way(
    import_again: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesion_file(import_again.mask, value=2)
    monkeypatch.chdir(import_again.studies.parent)
    import_again.studies = Path("studies")
    import_again()
    assert import_again.final.max() == 2


def test_the_values_of_a_mask_become_those_of_the_target_by_the_named_convention(
    tmp_path: Path,
) -> None:
    studies, config = (
        tmp_path / "studies",
        ZeusConfig(target="brain_tumour_parts", state=tmp_path / "state"),
    )
    make_study(studies, "alpha", 1)
    mask = np.zeros((24, 20, 6), np.uint8)
    mask[8:12, 9:13, 2:4] = np.array([1, 2, 4, 0]).reshape(4, 1, 1)
    save(studies / "alpha" / "alpha_seg.nii.gz", mask, affine())
    with pytest.raises(InputError, match="--convention brats2017"):
        told(import_into_store(studies, config))
    wrong = told(import_into_store(studies, config, convention="msd"))["alpha"]
    assert "values 4 are no label" in wrong
    assert "choose the right --convention" in wrong
    told(import_into_store(studies, config, convention="brats2017"))
    label = LabelHistory(tmp_path / "state" / "brain_tumour_parts" / "labels").newest(
        "alpha", "final"
    )
    assert label is not None
    expected = np.where(mask == 4, 3, mask)
    np.testing.assert_array_equal(read_label(label.path).array, expected)


def said(studies: Path, *options: str) -> list[str]:
    """The lines that `zeus import-labels` prints, without the folder's path."""
    state = str(studies.parent / "state")
    command = ["import-labels", str(studies), "--target", "phantom", "--state", state, *options]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return done.output.replace(f"{studies}/", "").splitlines()


def test_the_command_says_what_it_took_what_it_saw_and_how_many(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    for seed, name in enumerate(("alpha", "bravo", "charlie", "delta")):
        make_study(studies, name, seed)
    lesion_file(studies / "alpha" / "Segmentation.nii.gz")
    lesion_file(studies / "alpha" / "alpha_brainmask.nii.gz")
    lesion_file(studies / "bravo" / "seg_ai.nii.gz")
    lesion_file(studies / "delta" / "liver_mask.nii.gz")
    lesion_file(studies / "labels" / "zulu.nii.gz")
    (studies / "echo").mkdir()
    lines = said(studies)
    assert lines[0].startswith("echo: cannot be used: echo is an empty folder")
    assert lines[1] == "alpha: alpha/Segmentation.nii.gz"
    assert lines[2] == (
        "alpha: not taken: alpha/alpha_brainmask.nii.gz (a mask of the brain or the body)"
    )
    assert lines[3].startswith("bravo: left out: bravo: only masks that a machine drew (seg_ai")
    assert lines[4] == "charlie: no mask"
    assert lines[5] == "delta: no mask"
    assert lines[6] == (
        "delta: not taken: delta/liver_mask.nii.gz (it shows liver, no structure of phantom)"
    )
    assert lines[7] == ("not taken: labels/zulu.nii.gz (no study that can be used is called so)")
    assert lines[8:] == [
        "1 label imported, 1 study left out, 2 studies without a mask, 1 study that cannot be used"
    ]
    again = said(studies)
    assert again[1] == "alpha: kept: unchanged, alpha/Segmentation.nii.gz"
    assert again[-1].startswith("0 labels imported, 1 label kept, 1 study left out")


def test_of_a_folder_without_masks_the_command_says_so(tmp_path: Path) -> None:
    make_study(tmp_path / "studies", "alpha", 1)
    assert said(tmp_path / "studies") == [
        "alpha: no mask", "0 labels imported, 1 study without a mask",
    ]  # fmt: skip


def test_an_import_of_nothing_is_summed_up() -> None:
    assert summary([]) == "0 labels imported"


def test_many_files_with_one_reason_are_one_line(tmp_path: Path) -> None:
    make_study(tmp_path / "studies", "alpha", 1)
    for number in range(12):
        lesion_file(tmp_path / "studies" / "alpha" / f"brainmask_{number:02d}.nii.gz")
    (line,) = [line for line in said(tmp_path / "studies") if "not taken" in line]
    assert line.endswith("brainmask_09.nii.gz and 2 more (a mask of the brain or the body)")
