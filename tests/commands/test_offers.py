"""`zeus serve` without a target: what each target would find, and what to type."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from zeus_app.commands import offers as module
from zeus_app.commands.main import app
from zeus_app.commands.offers import offers, serve_command
from zeus_app.targets import load_target, shipped_targets

runner = CliRunner()


def make_images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        nib.save(nib.Nifti1Image(np.ones((6, 6, 4), np.int16), np.eye(4)), folder / f"{name}.nii")


@pytest.fixture
def brains(tmp_path: Path) -> Path:
    """Two studies: one with FLAIR, T1, T1Gd and T2, one with FLAIR and T2."""
    make_images(tmp_path / "mri" / "anna", "FLAIR", "T1", "T1Gd", "T2")
    make_images(tmp_path / "mri" / "bert", "FLAIR", "T2")
    return tmp_path / "mri"


def test_each_target_tells_its_studies_and_sequences_and_the_best_comes_first(
    brains: Path,
) -> None:
    found = {offer.target: offer for offer in offers(brains)}
    assert set(found) == set(shipped_targets())
    assert found["brain_tumour"].studies == 2
    assert found["brain_tumour"].images == {"FLAIR": 2, "T1Gd": 1, "T1": 1, "T2": 2}
    assert found["prostate"].images == {"T2": 2}
    assert (found["abdomen"].studies, found["abdomen"].sequences_text) == (0, "none")
    assert found["abdomen"].segments == "liver, right kidney, left kidney, spleen"
    both = offers(brains.parent / "mri")
    assert both[-1].target == "abdomen"
    make_images(brains / "bert", "T1", "T1Gd")
    assert offers(brains)[0].target == "brain_tumour"


def test_without_a_folder_each_target_tells_what_it_looks_for() -> None:
    found = {offer.target: offer.sequences_text for offer in offers(None)}
    assert found["prostate"] == ", ".join(load_target("prostate").sequence_names)


def test_targets_with_the_same_sequences_share_one_search(
    brains: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zeus_app.studies import find

    searched: list[str] = []
    scan = find.scan

    def counted(*arguments: object, **options: object) -> object:
        searched.append(arguments[1].name)  # type: ignore[attr-defined]
        return scan(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(find, "scan", counted)
    offers(brains)
    assert len(searched) == len(set(searched)) < len(shipped_targets())


def test_no_header_of_an_image_file_is_read(brains: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a header was read")

    monkeypatch.setattr("zeus_app.studies.find.check_headers", refuse)
    assert offers(brains)[0].studies == 2


def test_in_a_large_folder_the_search_ends_after_some_seconds(
    brains: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_S", -1.0)
    assert {offer.sequences_text for offer in offers(brains)} == {
        "not looked at, because the folder is large"
    }


@pytest.mark.parametrize(
    ("by_make", "command"),
    [
        (True, "make serve STUDIES='/d/a b' TARGET=prostate STATE=/s PORT=8001"),
        (False, ".venv/bin/zeus serve '/d/a b' --target prostate --state /s --port 8001"),
    ],
)
def test_the_command_repeats_the_folder_and_the_options(by_make: bool, command: str) -> None:
    options = [("state", "/s"), ("port", "8001")]
    assert serve_command(Path("/d/a b"), "prostate", options, by_make=by_make) == command


def test_serving_without_a_target_prints_targets_counts_and_commands_and_exits_with_2(
    brains: Path,
) -> None:
    arguments = ["serve", str(brains), "--fusion", "late", "--set", "union=mean", "--insecure"]
    result = runner.invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "FLAIR 2, T1Gd 1, T1 1, T2 2" in result.output
    assert (
        f".venv/bin/zeus serve {brains} --target brain_tumour --fusion late --set union=mean"
        " --insecure\n"
    ) in result.output
    assert "--target abdomen" not in result.output  # nothing there
    assert "no target was given" in result.output
    assert list(brains.rglob("*.json")) == []


def test_under_make_the_command_is_one_of_make(brains: Path) -> None:
    environment = {"COLUMNS": "200", "MAKELEVEL": "1"}
    result = runner.invoke(app, ["serve", str(brains), "--port", "8000"], env=environment)
    assert f"  make serve STUDIES={brains} TARGET=brain_tumour\n" in result.output


def test_without_a_folder_too_the_targets_are_explained_and_the_exit_code_is_2() -> None:
    result = runner.invoke(app, ["serve", ""], env={"COLUMNS": "200", "MAKELEVEL": "1"})
    assert result.exit_code == 2
    assert "make serve STUDIES=<folder> TARGET=prostate" in result.output
    assert "T2-SPIR" in result.output
    assert "neither a studies folder nor a target was given" in result.output


def test_a_folder_without_any_study_says_how_to_find_out_why(tmp_path: Path) -> None:
    make_images(tmp_path, "xyz")
    result = runner.invoke(app, ["serve", str(tmp_path)], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "No target finds a study here. For example: no file name holds" in result.output
    assert "zeus studies FOLDER --target NAME" in result.output


def test_a_folder_that_does_not_exist_is_refused_before_any_search(tmp_path: Path) -> None:
    result = runner.invoke(app, ["serve", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "does not exist" in result.output
