"""The sample studies: repeatable, small, and never whole in a single sequence."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from zeus_app.targets import load_target
from zeus_app.types import FloatArray

FOLDER = Path(__file__).parents[2] / "sample_data"
SCRIPT = FOLDER / "make_phantoms.py"


def run(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(out), *options], capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantoms")
    assert run(out).returncode == 0
    return out


@pytest.fixture(scope="module")
def manifest(made: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((made / "manifest.json").read_text())
    return content


@pytest.fixture
def phantom(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module("phantom")


@pytest.fixture(scope="module")
def points() -> FloatArray:
    """(120, 120, 11, 3) RAS mm over the whole head."""
    axis = np.arange(-90.0, 90.0, 1.5)
    grid = np.meshgrid(axis, axis, np.arange(-25.0, 30.0, 5.0), indexing="ij")
    return np.stack(grid, axis=-1)


def load(path: Path) -> npt.NDArray[np.int16]:
    """Voxels along right-to-left, back-to-front, feet-to-head axes, whatever the storage."""
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_the_last_four_of_twenty_cases_are_held_back(manifest: dict[str, Any]) -> None:
    assert manifest["learn"] == [f"phantom_{n:02d}" for n in range(16)]
    assert manifest["held_back"] == [f"phantom_{n:02d}" for n in range(16, 20)]


def test_the_manifest_names_every_file_and_no_other(made: Path, manifest: dict[str, Any]) -> None:
    named = {"manifest.json"}
    for case in manifest["cases"]:
        named |= {*case["sequences"].values(), case["label"]}
    assert set(contents(made)) == named


def test_all_studies_fit_into_ten_megabytes(made: Path) -> None:
    assert sum(map(len, contents(made).values())) < 10e6


def test_the_same_arguments_make_the_same_bytes(made: Path, tmp_path: Path) -> None:
    run(tmp_path, "--cases", "2", "--held-back", "1")
    files = {name: data for name, data in contents(tmp_path).items() if name != "manifest.json"}
    assert len(files) == 6
    assert files == {name: contents(made)[name] for name in files}


def test_a_second_run_writes_nothing(tmp_path: Path) -> None:
    run(tmp_path, "--cases", "1", "--held-back", "0")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    run(tmp_path, "--cases", "1", "--held-back", "0")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_run_after_an_interrupted_one_completes_the_folder(tmp_path: Path) -> None:
    run(tmp_path, "--cases", "1", "--held-back", "0")
    files = contents(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "studies/phantom_00/phantom_00_flair.nii.gz").unlink()
    run(tmp_path, "--cases", "1", "--held-back", "0")
    assert contents(tmp_path) == files


def test_fewer_cases_than_before_leave_no_old_study_behind(tmp_path: Path) -> None:
    run(tmp_path, "--cases", "2", "--held-back", "1")
    run(tmp_path, "--cases", "1", "--held-back", "0")
    assert [path.name for path in (tmp_path / "studies").iterdir()] == ["phantom_00"]


def test_holding_back_every_case_is_refused(tmp_path: Path) -> None:
    answer = run(tmp_path, "--cases", "4", "--held-back", "4")
    assert answer.returncode == 2
    assert "leaves no case for training" in answer.stderr
    assert "--held-back 3" in answer.stderr


def test_studies_are_stored_in_three_orientations(made: Path, manifest: dict[str, Any]) -> None:
    stored = {
        "".join(nib.aff2axcodes(nib.load(made / case["sequences"]["T2"]).affine))
        for case in manifest["cases"]
    }
    assert stored == {"RAS", "LPS", "LAS"}


def test_exactly_one_study_has_a_sequence_on_another_grid(
    made: Path, manifest: dict[str, Any]
) -> None:
    shapes = [
        {nib.load(made / path).shape for path in case["sequences"].values()}
        for case in manifest["cases"]
    ]
    assert sum(len(shape) == 2 for shape in shapes) == 1


def test_labels_lie_on_the_grid_of_the_t2(made: Path, manifest: dict[str, Any]) -> None:
    for case in manifest["cases"]:
        label, t2 = nib.load(made / case["label"]), nib.load(made / case["sequences"]["T2"])
        assert label.shape == t2.shape
        np.testing.assert_array_equal(label.affine, t2.affine)


def test_images_are_16_bit_and_labels_8_bit(made: Path, manifest: dict[str, Any]) -> None:
    for case in manifest["cases"]:
        kinds = [nib.load(made / path).get_data_dtype() for path in case["sequences"].values()]
        assert [*kinds, nib.load(made / case["label"]).get_data_dtype()] == [
            np.int16,
            np.int16,
            np.uint8,
        ]


def test_every_case_shows_every_label_of_the_target(made: Path, manifest: dict[str, Any]) -> None:
    values = {0, *load_target("phantom").label_values.values()}
    for case in manifest["cases"]:
        assert set(np.unique(load(made / case["label"]))) == values


@pytest.mark.parametrize("label", ["lesion", "cyst"])
def test_the_best_single_sequence_cannot_reach_a_dice_of_080(
    manifest: dict[str, Any], label: str
) -> None:
    assert manifest["best_single_sequence_dice"][label] < 0.80


def test_the_stated_cap_is_the_dice_of_what_a_sequence_shows(
    phantom: ModuleType, points: FloatArray
) -> None:
    patient = phantom.draw_patient(1000, points)
    truth = patient.truth(points) == phantom.LESION
    for sequence in phantom.SEQUENCES:
        visible = patient.shown(points, sequence) == phantom.LESION
        assert not (visible & ~truth).any()
        assert 2 * visible.sum() / (visible.sum() + truth.sum()) < 0.80


def test_both_sequences_together_show_a_target_whole(
    phantom: ModuleType, points: FloatArray
) -> None:
    patient = phantom.draw_patient(1001, points)
    t2, flair = (patient.shown(points, sequence) for sequence in ("T2", "FLAIR"))
    np.testing.assert_array_equal(np.maximum(t2, flair), patient.truth(points))


@pytest.mark.parametrize(("sequence", "other"), [("T2", "FLAIR"), ("FLAIR", "T2")])
def test_a_lesion_is_bright_in_its_own_sequence_and_plain_tissue_where_only_the_other_shows_it(
    phantom: ModuleType, points: FloatArray, sequence: str, other: str
) -> None:
    patient = phantom.draw_patient(1002, points)
    signal = patient.signal(points, sequence)
    visible = patient.shown(points, sequence) == phantom.LESION
    hidden = (patient.shown(points, other) == phantom.LESION) & ~visible
    tissue = phantom.CONTRASTS[sequence]
    assert np.median(signal[visible]) > tissue.grey + 0.15
    assert abs(np.median(signal[hidden]) - tissue.white) < 0.10


def test_every_sequence_has_distractors_that_are_no_target(
    phantom: ModuleType, points: FloatArray
) -> None:
    patient = phantom.draw_patient(1003, points)
    for sequence in ("T2", "FLAIR"):
        starts = np.array([start for start, _, _ in patient.distractors[sequence]])
        assert len(starts) >= 2
        assert not patient.truth(starts).any()


def test_the_air_holds_noise_far_below_the_brain(made: Path, manifest: dict[str, Any]) -> None:
    image = load(made / manifest["cases"][0]["sequences"]["T2"])
    assert 0 < image[:8].mean() < 0.2 * image[56:72, 56:72].mean()
