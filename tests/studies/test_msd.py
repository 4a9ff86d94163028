"""A dataset.json that cannot be read is a problem of its archive."""

import json
import os
from pathlib import Path

import pytest

from tests.studies.tiny_files import nifti, ramp, reasons, study
from zeus_app.studies import msd
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

BRAIN = load_target("brain_tumour")


@pytest.mark.parametrize(
    "content",
    [
        "[" * 50_000,
        '{"modality": ' * 50_000,
        '{"modality": {"%s": "T2"}}' % ("9" * 5000),
        '{"modality": %s}' % ("9" * 5000),
        '{"modality": {"\\ud800": "T2"}}',
        '{"modality": {"-1": "T2"}}',
        '{"modality": {"0": "\\ud800"}}',
        '{"modality": ["T2"]}',
        '{"channel_names": null}',
        "[]",
        "null",
        "\udcfc",
        "",
    ],
    ids=lambda text: text[:30],
)
def test_a_damaged_description_hides_no_other_study(tmp_path: Path, content: str) -> None:
    study(tmp_path / "good", "T2")
    nifti(tmp_path / "archive" / "imagesTr" / "a.nii.gz", ramp(4, 4, 3, 2))
    description = tmp_path / "archive" / "dataset.json"
    description.write_bytes(content.encode("utf-8", "surrogateescape"))
    catalog = find_studies(tmp_path, BRAIN)
    assert set(catalog.studies) == {"good"}
    (reason,) = reasons(catalog).values()
    assert len(reason) < 2100
    reason.encode()


@pytest.mark.parametrize("name", ["a_0000.nrrd", "a_0000.nii.gz", "a.nrrd", "a.nii"])
def test_a_pipe_is_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "imagesTr").mkdir()
    os.mkfifo(tmp_path / "imagesTr" / name)
    (tmp_path / "dataset.json").write_text('{"modality": {"0": "T2"}}')
    assert set(reasons(find_studies(tmp_path, BRAIN))) == {"a"}


def test_a_huge_description_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msd, "_MAX_BYTES", 100)
    nifti(tmp_path / "imagesTr" / "a.nii.gz", ramp(4, 4, 3, 2))
    described = {"modality": {"0": "T2"}, "description": "a" * 100}
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    (reason,) = reasons(find_studies(tmp_path, BRAIN)).values()
    assert "more than 100 bytes" in reason


def test_a_label_belongs_to_the_case_of_exactly_its_name(tmp_path: Path) -> None:
    for case in ("p1", "p1.2"):
        nifti(tmp_path / "imagesTr" / f"{case}_0000.nii.gz")
    nifti(tmp_path / "labelsTr" / "p1.2.nii.gz")
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "T2"}}')
    masks = {name: files.masks for name, files in find_studies(tmp_path, BRAIN).studies.items()}
    assert masks == {"p1": (), "p1.2": (tmp_path / "labelsTr" / "p1.2.nii.gz",)}
