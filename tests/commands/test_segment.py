"""`zeus segment`: masks, JSON files and previews; what fails, is skipped, or is done again."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner, Result

from tests.server.conftest import LESION, SHAPE, affine, head, lesion_file, make_study, save
from zeus_app.api.opening import open_files
from zeus_app.commands.main import app
from zeus_app.labels.files import read_label

PNG = b"\x89PNG\r\n"


class Folders:
    """Studies alpha and bravo (stored in another order), a trained fake model, and its commands."""

    def __init__(self, root: Path) -> None:
        self.studies, self.labels = root / "studies", root / "labels"
        self.state, self.out = root / "state", root / "out"
        make_study(self.studies, "alpha", 1)
        make_study(self.studies, "bravo", 2, flip=(-1, -1, 1))
        lesion_file(self.labels / "alpha.nii.gz")
        lesion_file(self.labels / "bravo.nii.gz", flip=(-1, -1, 1))

    def zeus(self, command: str, *words: object) -> Result:
        common = ["--target", "phantom", "--state", str(self.state)]
        return CliRunner().invoke(app, [command, *map(str, words), *common])

    def train(self) -> None:
        result = self.zeus("train", self.studies, "--labels", self.labels)
        assert result.exit_code == 0, result.output

    def segment(self, *words: object, source: Path | None = None) -> Result:
        return self.zeus("segment", source or self.studies, "-o", self.out, *words)

    def described(self, study: str = "alpha") -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.out / f"{study}.json").read_text())
        return read

    def times(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self.out.iterdir()}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setenv("ZEUS_PLUGINS", "tests.server.fakes.fake_model")
    return Folders(tmp_path)


@pytest.fixture
def trained(folders: Folders) -> Folders:
    folders.train()
    return folders


def lesion() -> Any:
    mask = np.zeros(SHAPE, np.uint8)
    mask[LESION] = 1
    return mask


def test_each_study_gets_a_mask_a_json_and_a_preview(trained: Folders) -> None:
    result = trained.segment()
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in trained.out.iterdir()) == [
        "alpha.json", "alpha.nii.gz", "alpha.png", "bravo.json", "bravo.nii.gz", "bravo.png",
    ]  # fmt: skip
    assert "2 segmented" in result.output
    for study in ("alpha", "bravo"):
        image = trained.studies / study / f"{study}_t2.nii.gz"
        mask = nibabel.load(trained.out / f"{study}.nii.gz")
        np.testing.assert_array_equal(mask.get_fdata(), lesion())
        np.testing.assert_allclose(mask.affine, nibabel.load(image).affine)
        assert mask.get_data_dtype() == np.uint8
        ours, theirs = (sitk.ReadImage(str(p)) for p in (trained.out / f"{study}.nii.gz", image))
        assert ours.GetOrigin() == pytest.approx(theirs.GetOrigin())
        assert ours.GetDirection() == pytest.approx(theirs.GetDirection())
        assert (trained.out / f"{study}.png").read_bytes().startswith(PNG)


def test_the_json_tells_texts_volumes_versions_and_times(trained: Folders) -> None:
    assert trained.segment("--text", "T2/lesion=bright", "--text", "cyst=dark").exit_code == 0
    said = trained.described()
    assert said["mask"] == "alpha.nii.gz"
    assert said["checkpoint"] == "v0001"
    assert said["volumes_ml"]["lesion"] == pytest.approx(lesion().sum() * 3 / 1000)
    assert said["used"] == ["T2", "FLAIR"]
    assert said["grid_of"] == "T2"
    assert said["grid"]["shape"] == list(SHAPE)
    assert said["grid"]["spacing_mm"] == [1, 1, 3]
    assert said["notice"] == "machine-made, not for diagnosis"
    assert "read and align" in said["latencies_ms"]
    assert said["images"]["T2"] == "alpha/alpha_t2.nii.gz"
    assert {"python", "torch"} <= said["software"].keys()
    texts = {(i["sequence"], i["label"]): i["text"] for i in said["instructions"]}
    assert texts["T2", "lesion"] == "bright"
    assert texts["FLAIR", "cyst"] == "dark"


def test_what_is_done_is_skipped_and_what_changed_is_done_again(trained: Folders) -> None:
    trained.segment()
    before = trained.times()
    again = trained.segment()
    assert again.exit_code == 0
    assert "2 done before" in again.output
    assert trained.times() == before
    os.utime(trained.studies / "bravo" / "bravo_t2.nii.gz", (1, 1))
    assert "1 segmented, 1 done before" in trained.segment().output
    after = trained.times()
    assert {name for name in after if after[name] != before[name]} == {
        "bravo.json", "bravo.nii.gz", "bravo.png",
    }  # fmt: skip
    assert "2 segmented" in trained.segment("--text", "lesion=round").output
    trained.train()  # another version
    assert "2 segmented" in trained.segment("--text", "lesion=round").output
    assert "2 segmented" in trained.segment("--text", "lesion=round", "--again").output


@pytest.mark.parametrize("lost", ["alpha.png", "alpha.nii.gz"])
def test_a_study_of_which_a_file_is_lost_is_done_again(lost: str, trained: Folders) -> None:
    trained.segment()
    (trained.out / lost).unlink()
    assert "1 segmented, 1 done before" in trained.segment().output
    assert (trained.out / lost).stat().st_size > 1


def test_an_image_is_never_taken_for_an_earlier_mask(trained: Folders, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    image = shutil.copy(trained.studies / "alpha" / "alpha_t2.nii.gz", flat / "alpha_t2.nii.gz")
    before = Path(image).read_bytes()
    for words in ([], ["--again"]):
        result = trained.zeus("segment", image, "-o", flat, *words)
        assert result.exit_code == 1
        assert "did not write it" in result.output
        assert Path(image).read_bytes() == before


def test_a_bad_study_is_told_and_stops_no_other(trained: Folders) -> None:
    voxels = head(1)
    voxels[3, 3, 3] = np.nan
    save(trained.studies / "aaa" / "aaa_t2.nii.gz", voxels, affine())
    (trained.studies / "empty").mkdir()
    result = trained.segment()
    assert result.exit_code == 1
    assert "2 segmented, 2 failed" in result.output
    assert "failed: aaa: " in result.output
    assert "NaN" in result.output
    assert not list(trained.out.glob("aaa*"))
    assert (trained.out / "bravo.nii.gz").is_file()


def test_a_fault_of_zeus_in_one_study_keeps_its_traceback_and_stops_no_other(
    trained: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(files: Any, target: Any) -> Any:
        if files.id == "alpha":
            raise ZeroDivisionError("by zero")
        return open_files(files, target)

    monkeypatch.setattr("zeus_app.api.batch.open_files", fail)
    result = trained.segment()
    assert result.exit_code == 1
    assert "failed: alpha: ZeroDivisionError: by zero" in result.output
    assert "Traceback" in caplog.text
    assert (trained.out / "bravo.nii.gz").is_file()


@pytest.mark.parametrize("which", ["alpha", "alpha/alpha_t2.nii.gz"])
def test_one_study_or_one_file_is_enough(which: str, trained: Folders) -> None:
    result = trained.segment(source=trained.studies / which)
    assert result.exit_code == 0, result.output
    (mask,) = trained.out.glob("*.nii.gz")
    np.testing.assert_array_equal(read_label(mask).array, lesion())


def test_a_file_whose_name_tells_no_sequence_is_refused_until_it_is_told(
    trained: Folders, tmp_path: Path
) -> None:
    scan = tmp_path / "one" / "scan.nii.gz"
    scan.parent.mkdir()
    shutil.copy(trained.studies / "alpha" / "alpha_t2.nii.gz", scan)
    result = trained.segment(source=scan)
    assert result.exit_code == 2
    assert "tells no sequence" in result.output
    assert trained.segment("--sequence", "T2", source=scan).exit_code == 0
    assert trained.described("scan")["used"] == ["T2"]


@pytest.mark.parametrize(("name", "ending"), [("nrrd", ".nrrd"), (".seg.nrrd", ".seg.nrrd")])
def test_another_format_replaces_the_mask(name: str, ending: str, trained: Folders) -> None:
    trained.segment()
    assert trained.segment("--format", name).exit_code == 0
    assert not (trained.out / "alpha.nii.gz").exists()
    image = sitk.ReadImage(str(trained.out / f"alpha{ending}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, lesion())
    theirs = sitk.ReadImage(str(trained.studies / "alpha" / "alpha_t2.nii.gz"))
    assert image.GetOrigin() == pytest.approx(theirs.GetOrigin())


def test_the_masks_lie_on_the_grid_of_the_chosen_sequence(trained: Folders) -> None:
    assert trained.segment("--sequence", "FLAIR").exit_code == 0
    for study in ("alpha", "bravo"):
        flair = nibabel.load(trained.studies / study / f"{study}_flair.nii.gz")
        mask = nibabel.load(trained.out / f"{study}.nii.gz")
        assert mask.shape == flair.shape
        np.testing.assert_allclose(mask.affine, flair.affine)
        assert trained.described(study)["grid_of"] == "FLAIR"


def test_chosen_sequences_are_the_only_ones_that_are_used(trained: Folders) -> None:
    (trained.studies / "bravo" / "bravo_t2.nii.gz").unlink()
    result = trained.segment("--sequences", "T2")
    assert result.exit_code == 1
    assert trained.described()["used"] == ["T2"]
    assert "study 'bravo' without T2" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sequences", "T9"], "T9"),
        (["--sequence", "T9"], "T9"),
        (["--format", "png"], "png"),
        (["--text", "bright"], "--text 'FLAIR/tumour=bright"),
        (["--checkpoint", "v0009"], "v0009"),
        (["--checkpoint", "nowhere.pt"], "nowhere.pt"),
        (["--set", "colour=red"], "colour"),
    ],
)
def test_a_wrong_choice_is_bad_input(words: list[str], message: str, trained: Folders) -> None:
    result = trained.segment(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert not trained.out.exists()


def test_a_wrong_text_fails_each_study_with_the_known_names(trained: Folders) -> None:
    result = trained.segment("--text", "T9/lesion=bright")
    assert result.exit_code == 1
    assert "sequences are T2, FLAIR" in result.output


def test_masks_among_the_studies_are_refused(trained: Folders) -> None:
    result = trained.zeus("segment", trained.studies, "-o", trained.studies / "masks")
    assert result.exit_code == 2
    assert "import-labels" in result.output


def test_a_checkpoint_can_be_chosen_by_version_and_by_file(
    trained: Folders, tmp_path: Path
) -> None:
    trained.train()
    assert trained.segment("--checkpoint", "v0001").exit_code == 0
    assert trained.described()["checkpoint"] == "v0001"
    (weights,) = trained.state.rglob("v0002.pt")
    elsewhere = tmp_path / "sent"
    elsewhere.mkdir()
    for path in weights.parent.glob("v0002.*"):
        shutil.copy(path, elsewhere)
    assert trained.segment("--checkpoint", elsewhere / "v0002.pt").exit_code == 0
    assert trained.described()["checkpoint"] == "v0002"


def test_without_a_trained_model_no_mask_is_written_and_clicks_are_shown(folders: Folders) -> None:
    result = folders.segment()
    assert result.exit_code == 1
    assert sorted(path.name for path in folders.out.iterdir()) == [
        "alpha_example_click.png", "bravo_example_click.png",
    ]  # fmt: skip
    assert (folders.out / "alpha_example_click.png").read_bytes().startswith(PNG)
    assert "no model of phantom is trained" in result.output
    assert "it is no result" in result.output
    assert "zeus train" in result.output
    assert "zeus serve" in result.output


def test_the_untrained_model_can_be_asked_for_by_name(folders: Folders) -> None:
    assert folders.segment("--checkpoint", "untrained").exit_code == 0
    assert folders.described()["untrained"] is True


def test_the_state_of_the_studies_folder_counts_for_a_study_in_it(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    words = ["--target", "phantom"]
    runner = CliRunner()
    trained = runner.invoke(
        app, ["train", str(folders.studies), "--labels", str(folders.labels), *words]
    )
    assert trained.exit_code == 0, trained.output
    study = folders.studies / "alpha"
    result = runner.invoke(app, ["segment", str(study), "-o", str(folders.out), *words])
    assert result.exit_code == 0, result.output
    assert folders.described()["checkpoint"] == "v0001"


def test_a_folder_without_studies_is_a_failure(trained: Folders, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    result = trained.segment(source=tmp_path / "nothing")
    assert result.exit_code == 1
    assert trained.segment(source=tmp_path / "none").exit_code == 2
