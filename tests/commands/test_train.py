"""`zeus train`: from a folder of masks to a version, and the command that segments with it."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.commands.test_segment import Folders
from zeus_app.commands.main import app
from zeus_app.commands.train import TRAINING_S, _as_bar
from zeus_app.labels.labelled import with_final_label
from zeus_app.labels.versions import FINAL, LabelHistory
from zeus_app.storage.pseudonyms import Pseudonyms
from zeus_app.targets import Target
from zeus_app.training.loop import Epoch
from zeus_app.types import LabelledStudy, StudyFiles


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setenv("ZEUS_PLUGINS", "tests.server.fakes.fake_model")
    return Folders(tmp_path)


def train(folders: Folders, *words: object) -> Result:
    return folders.zeus("train", folders.studies, *words)


def test_the_last_line_tells_the_version_its_score_and_a_command_that_works(
    folders: Folders,
) -> None:
    result = train(folders, "--labels", folders.labels)
    assert result.exit_code == 0, result.output
    assert "2 labels imported" in result.output
    last = result.stdout.splitlines()[-1]
    assert last.startswith("v0001: trained ")
    assert "on 2 studies, validation DSC 0.500" in last
    (command,) = re.findall(r"segment with: (.*)$", last)
    program, *words = shlex.split(command.replace("zeus-masks", str(folders.out)))
    assert program == "zeus"
    assert CliRunner().invoke(app, words).exit_code == 0
    assert folders.described()["checkpoint"] == "v0001"


def test_the_masks_become_final_labels_which_the_next_training_uses_without_them(
    folders: Folders,
) -> None:
    train(folders, "--labels", folders.labels)
    history = LabelHistory(folders.state / "phantom" / "labels")
    assert history.studies(FINAL) == {"alpha", "bravo"}
    assert train(folders).stdout.splitlines()[-1].startswith("v0002: trained ")
    assert len(history.versions("alpha", FINAL)) == 1


def test_masks_that_do_not_fit_are_told_and_the_others_are_learnt_from(folders: Folders) -> None:
    (folders.labels / "bravo.nii.gz").write_bytes(b"no image")
    result = train(folders, "--labels", folders.labels)
    assert result.exit_code == 0
    assert "bravo: left out" in result.output
    assert "on 1 study," in result.stdout.splitlines()[-1]


def test_masks_in_a_folder_among_the_studies_are_no_studies(folders: Folders) -> None:
    drawn = folders.studies / "drawn"
    folders.labels.rename(drawn)
    (drawn / "alpha.nii.gz").rename(drawn / "alpha_t2.nii.gz")
    result = train(folders, "--labels", drawn, "--pattern", "*")
    assert result.exit_code == 0, result.output
    assert "on 2 studies" in result.stdout.splitlines()[-1]


def test_masks_beside_their_studies_can_be_named_too(folders: Folders) -> None:
    (folders.labels / "alpha.nii.gz").rename(folders.studies / "alpha" / "alpha_seg.nii.gz")
    result = train(folders, "--labels", folders.studies)
    assert result.exit_code == 0, result.output
    assert "on 1 study," in result.stdout.splitlines()[-1]


def test_without_a_label_there_is_nothing_to_learn_from(folders: Folders) -> None:
    result = train(folders)
    assert result.exit_code == 2
    assert "import-labels" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe", "poper"], "recipe"),
        (["--start", "middle"], "start"),
        (["--seconds", "0"], "seconds"),
        (["--set", "colour=red"], "colour"),
        (["--labels", "/nowhere"], "folder of masks"),
    ],
)
def test_a_wrong_option_is_bad_input(words: list[str], message: str, folders: Folders) -> None:
    result = train(folders, *words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_target_with_conventions_needs_one(folders: Folders) -> None:
    words = ["train", str(folders.studies), "--labels", str(folders.labels), "--target",
             "brain_tumour_parts", "--state", str(folders.state)]  # fmt: skip
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "--convention" in result.output


def test_the_bar_shows_the_seconds_of_the_budget_or_the_pieces_of_an_epoch() -> None:
    shown: list[tuple[str, int, int]] = []

    def report(stage: str, done: int, total: int) -> None:
        shown.append((stage, done, total))

    epoch = Epoch(3, 0.5, None, 1e-3, 61.4)
    _as_bar(report, 300)(epoch, 1, 4)
    _as_bar(report, 60)(epoch, 1, 4)
    _as_bar(report, None)(epoch, 1, 4)
    assert shown[:2] == [(TRAINING_S, 61, 300), (TRAINING_S, 60, 60)]
    assert shown[2][1:] == (1, 4)


def test_a_training_knows_patients_by_their_pseudonyms_as_a_server_s_does(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients = []

    def recorded(files: StudyFiles, history: LabelHistory, target: Target) -> LabelledStudy:
        patients.append(files.patient)
        return with_final_label(files, history, target)

    monkeypatch.setattr("zeus_app.api.model.with_final_label", recorded)
    train(folders, "--labels", folders.labels)
    assert patients == [*map(Pseudonyms.of_folder(folders.state).of, ["alpha", "bravo"])]
