"""`import zeus_app`: cheap, small, and from a study to its mask with the shipped weights."""

import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

import zeus_app
from tests.server.conftest import (
    LESION,
    SHAPE,
    affine,
    head,
    lesion_file,
    make_study,
    save,
)
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.types import BoolArray


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    make_study(tmp_path / "studies", "alpha", 1, flip=(-1, -1, 1))
    make_study(tmp_path / "studies", "bravo", 2)
    return tmp_path / "studies"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEUS_PLUGINS", "tests.server.fakes.fake_model")


def lesion() -> BoolArray:
    mask = np.zeros(SHAPE, np.bool_)
    mask[LESION] = True
    return mask


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'monai', 'pydantic', 'numpy', 'nibabel', 'monailabel'}"
    code = f"import sys, zeus_app; print(sorted({heavy} & {{*sys.modules}}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_using_it_loads_no_server() -> None:
    code = (
        "import sys, zeus_app\nfor name in zeus_app.__all__: getattr(zeus_app, name)\n"
        "print([m for m in sys.modules if m.startswith(('monailabel', 'zeus_app.server'))])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_its_names_are_listed_and_documented() -> None:
    assert {*zeus_app.__all__} <= {*dir(zeus_app)}
    for name in zeus_app.__all__:
        assert getattr(zeus_app, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'segment_everything'"):
        _ = zeus_app.segment_everything


def test_a_study_is_opened_from_its_folder_or_from_one_file(studies: Path) -> None:
    study = zeus_app.open_study(studies / "alpha", target="phantom")
    assert study.id == "alpha"
    assert study.used == ("T2", "FLAIR")
    assert study.stack.pixels.shape == (2, SHAPE[2], 256, 256)
    file = studies / "alpha" / "alpha_t2.nii.gz"
    assert zeus_app.open_study(file, target="phantom").used == ("T2",)
    only = zeus_app.open_study(studies / "alpha", target="phantom", sequences=["FLAIR"])
    assert only.used == ("FLAIR",)


def test_a_folder_of_several_studies_is_refused_with_their_names(studies: Path) -> None:
    with pytest.raises(InputError, match="2 studies: alpha, bravo"):
        zeus_app.open_study(studies, target="phantom")


@pytest.mark.parametrize("wrong", ["path", "target", "sequence"])
def test_what_does_not_exist_is_refused(wrong: str, studies: Path) -> None:
    path = studies / ("none" if wrong == "path" else "alpha")
    target = "phantm" if wrong == "target" else "phantom"
    with pytest.raises(InputError):
        zeus_app.open_study(path, target=target, sequences=["T9"] if wrong == "sequence" else [])


def test_a_model_needs_a_folder_for_its_state(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a studies folder nor a state folder"):
        zeus_app.load("phantom")
    with pytest.raises(UnknownNameError):
        zeus_app.load("phantom", state=tmp_path, colour="red")
    with pytest.raises(UnknownNameError):
        zeus_app.load("phantom", state=tmp_path, checkpoint="v0001")


def test_on_a_cpu_two_pictures_are_encoded_at_a_time(tmp_path: Path) -> None:
    zeus = zeus_app.load("phantom", state=tmp_path, device="cpu")
    images = zeus._segmenter.model.images  # type: ignore[attr-defined]  # Zeus has them
    assert images._batch == 2


@pytest.mark.usefixtures("fake")
def test_training_serves_a_version_that_the_next_study_is_segmented_with(
    studies: Path, tmp_path: Path
) -> None:
    lesion_file(tmp_path / "labels" / "bravo.nii.gz")
    zeus = zeus_app.load("phantom", state=tmp_path / "state")
    study = zeus_app.open_study(studies / "alpha", target="phantom")
    assert zeus.version == "untrained"
    assert not zeus.segment(study).label_map.array.any()
    result = zeus.train(studies, tmp_path / "labels", time_budget_s=5)
    assert result.checkpoint.version == zeus.version == "v0001"
    answer = zeus.segment(study, texts={"lesion": "round"})
    np.testing.assert_array_equal(answer.label_map.array, lesion())
    assert {i.text for i in answer.instructions if i.label == "lesion"} == {"round"}
    zeus_app.save_mask(answer.label_map, tmp_path / "mask.nii.gz")
    saved = nibabel.load(tmp_path / "mask.nii.gz")
    stored = nibabel.load(studies / "alpha" / "alpha_t2.nii.gz")
    np.testing.assert_allclose(saved.affine, stored.affine)


@pytest.mark.usefixtures("fake")
def test_a_click_marks_the_voxel_of_the_stored_sequence(studies: Path, tmp_path: Path) -> None:
    zeus = zeus_app.load("phantom", state=tmp_path)
    study = zeus_app.open_study(studies / "alpha", target="phantom")
    mask = zeus.click(study, "T2", foreground=[(8, 9, 2)], background=[(1, 1, 2)], label="cyst")
    assert mask.array.shape == SHAPE
    assert np.argwhere(mask.array).tolist() == [[8, 9, 2]]
    assert mask.array[8, 9, 2] == 2  # the value of cyst
    in_box = zeus.click(study, box=((8, 9, 2), (9, 10, 3)))
    assert in_box.array.sum() == in_box.array[8:10, 9:11, 2:4].sum() == 8
    assert zeus.click(study, "FLAIR", foreground=[(4, 4, 2)]).array.shape == (12, 10, 6)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"foreground": [(24, 0, 0)]}, "a point at voxel"),
        ({"foreground": [(1, 2)]}, "three numbers"),
        ({"background": [(1, 2, 3)]}, "without a point on the label"),
        ({"box": ((30, 30, 30), (40, 40, 40))}, "a box from voxel"),
        ({"foreground": [(1, 2, 3)], "label": "lessoin"}, "lesion"),
        ({"foreground": [(1, 2, 3)], "sequence": "T1"}, "does not have it"),
    ],
)
def test_a_click_that_cannot_be_meant_is_refused(
    how: dict[str, object], message: str, studies: Path, tmp_path: Path
) -> None:
    zeus = zeus_app.load("phantom", state=tmp_path)
    study = zeus_app.open_study(studies / "alpha", target="phantom")
    with pytest.raises(InputError, match=message):
        zeus.click(study, **how)  # type: ignore[arg-type]


@pytest.mark.usefixtures("fake")
def test_a_study_of_another_target_is_refused(studies: Path, tmp_path: Path) -> None:
    study = zeus_app.open_study(studies / "alpha", target="brain_tumour")
    with pytest.raises(InputError, match="opened with"):
        zeus_app.load("phantom", state=tmp_path).segment(study)


def python_of(document: str) -> str:
    text = (Path(__file__).resolve().parents[1] / document).read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return str(block)


def a_brain(folder: Path) -> None:
    """A study named as in the documents, small, with a bright lesion."""
    flair = head(1)
    flair[LESION] = 900
    save(folder / "anna" / "anna_FLAIR.nii.gz", flair, affine())
    save(folder / "anna" / "anna_T1c.nii.gz", head(2), affine())


@pytest.mark.slow
def test_the_six_lines_of_readme_lead_from_a_study_to_its_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in python_of("README.md").splitlines() if line]
    assert len(lines) == 6
    a_brain(tmp_path / "mri")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    exec("\n".join(lines).replace("/data/mri", str(tmp_path / "mri")), {})
    mask = nibabel.load(tmp_path / "anna.nii.gz")
    stored = nibabel.load(tmp_path / "mri" / "anna" / "anna_FLAIR.nii.gz")
    assert mask.shape == stored.shape
    np.testing.assert_allclose(mask.affine, stored.affine)
    assert "untrained model" in capsys.readouterr().out


@pytest.mark.usefixtures("fake")
def test_the_python_of_the_documentation_runs_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_brain(tmp_path / "mri")
    lesion_file(tmp_path / "masks" / "anna.nii.gz")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    code = python_of("docs/without-a-server.md").replace("(120, 96, 70)", "(9, 10, 2)")
    exec(code.replace("/data", str(tmp_path)), {})
    assert capsys.readouterr().out == "v0001 v0001\n"
    assert nibabel.load(tmp_path / "clicked.nii.gz").get_fdata()[9, 10, 2] == 1


@pytest.mark.slow
def test_with_the_shipped_weights_a_click_finds_the_lesion_and_a_training_answers(
    studies: Path, tmp_path: Path
) -> None:
    lesion_file(tmp_path / "labels" / "bravo.nii.gz")
    zeus = zeus_app.load("phantom", state=tmp_path / "state", scope="none")
    study = zeus_app.open_study(studies / "alpha", target="phantom")
    clicked = zeus.click(study, "T2", foreground=[(9, 10, 2)])
    assert clicked.array[9, 10, 2] == 1
    assert set(np.argwhere(clicked.array)[:, 2]) == {2}
    untrained = zeus.segment(study)
    assert "untrained model" in " ".join(untrained.notes)
    result = zeus.train(studies, tmp_path / "labels", time_budget_s=2)
    answer = zeus.segment(study)
    assert answer.checkpoint == result.checkpoint.version == "v0001"
    assert answer.label_map.grid.matches(study.source_grid)
