"""The files of one study: what counts as done, and what makes it be done again."""

import json
from pathlib import Path

import numpy as np
import pytest

from zeus_app.api.output import StudyOutput, check_extension, save_mask
from zeus_app.errors import InputError
from zeus_app.labels.files import read_label
from zeus_app.targets import load_target
from zeus_app.types import Volume

PHANTOM = load_target("phantom")
MASK = Volume(np.ones((2, 3, 4), np.uint8), np.eye(4))


def test_all_three_files_must_be_there(tmp_path: Path) -> None:
    output = StudyOutput(tmp_path, "p1", ".nii.gz")
    assert not output.is_done("abc")
    output.write(MASK, b"png", {"fingerprint": "abc"}, names={})
    assert output.is_done("abc")
    assert not output.is_done("abd")
    assert json.loads(output.description.read_text()) == {
        "mask": "p1.nii.gz", "preview": "p1.png", "fingerprint": "abc"
    }  # fmt: skip
    output.preview.unlink()
    assert not output.is_done("abc")


@pytest.mark.parametrize("named", ["../outside.nii.gz", "other.nii.gz", "p1.txt", 3])
def test_a_json_can_name_no_other_file_to_be_removed(named: object, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    others = [tmp_path / "outside.nii.gz", folder / "other.nii.gz", folder / "p1.txt"]
    for path in others:
        path.write_bytes(b"kept")
    output = StudyOutput(folder, "p1", ".nii.gz")
    said = {"mask": named, "preview": "p1.png", "fingerprint": "abc"}
    output.description.write_text(json.dumps(said))
    output.write(MASK, b"png", {}, names={})
    assert all(path.is_file() for path in others)


@pytest.mark.parametrize("content", ["[]", "null", "{", "3", "{}"])
@pytest.mark.parametrize("name", ["p1.nii.gz", "p1.png", "p1.json"])
def test_a_foreign_file_is_never_replaced(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    output = StudyOutput(tmp_path, "p1", ".nii.gz")
    assert not output.is_done("abc")
    with pytest.raises(InputError, match="did not write it"):
        output.write(MASK, b"png", {"fingerprint": "abc"}, names={})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == content


def test_a_write_that_is_killed_at_the_mask_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = StudyOutput(tmp_path, "p1", ".nii.gz")
    output.write(MASK, b"png", {"fingerprint": "abc"}, names={})
    with monkeypatch.context() as patch:
        patch.setattr("zeus_app.api.output.write_label", interrupt)
        with pytest.raises(KeyboardInterrupt):
            output.write(MASK, b"png", {"fingerprint": "abd"}, names={})
    assert not output.is_done("abc")
    assert not output.is_done("abd")
    output.write(MASK, b"png", {"fingerprint": "abd"}, names={})
    assert output.is_done("abd")


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "ending"),
    [("nifti", ".nii.gz"), ("NRRD", ".nrrd"), (".seg.nrrd", ".seg.nrrd"), ("nii", ".nii")],
)
def test_a_format_has_an_ending(name: str, ending: str) -> None:
    assert check_extension(name) == ending


def test_a_mask_is_saved_in_a_known_format_alone(tmp_path: Path) -> None:
    save_mask(MASK, tmp_path / "new" / "mask.nrrd")
    np.testing.assert_array_equal(read_label(tmp_path / "new" / "mask.nrrd").array, MASK.array)
    with pytest.raises(InputError, match="png"):
        save_mask(MASK, tmp_path / "mask.png")
    assert not (tmp_path / "mask.png").exists()
