"""A wrong entry of cases.json or cases.yaml hides no other, and no list stops a start."""

import json
import os
from pathlib import Path

import pytest

from tests.studies.tiny_files import nifti, ramp, reasons, sequences, study
from zeus_app.studies import caselist
from zeus_app.studies.find import Catalog, find_studies
from zeus_app.targets import load_target

BRAIN = load_target("brain_tumour")
GOOD = {"id": "good", "sequences": {"T2": "a.nii.gz"}}
DEEP = "[" * 50_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    nifti(tmp_path / "a.nii.gz")
    return tmp_path


def found(root: Path, *entries: object) -> Catalog:
    (root / "cases.json").write_text(json.dumps(entries))
    return find_studies(root, BRAIN)


def deeply_nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "path",
    [
        "a" * 300 + ".nii.gz",
        "a/" * 3000 + "a.nii.gz",
        "a.nii.gz\0.nii.gz",
        "\ud800.nii.gz",
        "a.nii.gz/b.nii.gz",
        "",
        17,
        None,
        ["a.nii.gz"],
        deeply_nested(500),
    ],
    ids=lambda path: repr(path)[:20],
)
@pytest.mark.parametrize("channel", [None, 0])
def test_a_path_that_no_file_has_is_a_problem_of_its_entry(
    root: Path, path: object, channel: int | None
) -> None:
    value = path if channel is None else {"path": path, "channel": channel}
    catalog = found(root, {"id": "bad", "sequences": {"T2": value}}, GOOD)
    assert sequences(catalog) == {"good": {"T2"}}
    (reason,) = reasons(catalog).values()
    assert len(reason) < 2100
    reason.encode()


@pytest.mark.parametrize("channel", ["9" * 5000, "9" * 4000, -1, 1.5, "\ud800", [0], True, None])
def test_a_channel_that_no_file_has_is_a_problem_of_its_entry(root: Path, channel: object) -> None:
    nifti(root / "b.nii.gz", ramp(4, 4, 3, 2))
    bad = {"id": "bad", "sequences": {"T2": {"path": "b.nii.gz", "channel": channel}}}
    catalog = found(root, bad, GOOD)
    assert set(catalog.studies) == {"good"}
    assert set(reasons(catalog)) == {"bad"}


@pytest.mark.parametrize(
    "study_id", ["a" * 100_000, "\ud800", "M\udcfcller", deeply_nested(500)],
    ids=lambda study_id: repr(study_id)[:20],
)  # fmt: skip
def test_an_id_that_no_client_could_send_is_a_problem_of_its_entry(
    root: Path, study_id: object
) -> None:
    catalog = found(root, {**GOOD, "id": study_id}, GOOD)
    assert set(catalog.studies) == {"good"}
    (reason,) = reasons(catalog).values()
    assert "case-1" in reason
    assert len(reason) < 1000


def test_an_id_may_be_any_text(root: Path) -> None:
    catalog = found(root, {**GOOD, "id": "Mü😀\n7"})
    assert set(catalog.studies) == {"Mu_7"}


def test_a_patient_may_be_any_text(root: Path) -> None:
    assert found(root, {**GOOD, "patient": "\ud800" * 1000}).studies["good"].patient


def test_pipes_are_never_opened(root: Path) -> None:
    os.mkfifo(root / "pipe.nrrd")
    (root / "series").mkdir()
    os.mkfifo(root / "series" / "000.dcm")
    entries = [{"id": name, "sequences": {"T2": name}} for name in ("pipe.nrrd", "series")]
    catalog = found(root, *entries, GOOD)
    assert set(catalog.studies) == {"good"}
    assert set(reasons(catalog)) == {"pipe.nrrd", "series"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cases.json", DEEP),
        ("cases.yaml", DEEP),
        ("cases.yaml", "- " * 50_000),
        ("cases.yaml", "- &a [*a]"),
        ("cases.yaml", "- !!float ''"),
        ("cases.yaml", "- 2026-99-99"),
        ("cases.yaml", "- !!timestamp x"),
        ("cases.yaml", f"- {'9' * 5000}"),
        ("cases.json", f"[{'9' * 5000}]"),
        ("cases.yaml", "- !!python/object/apply:os.system [true]"),
        ("cases.yaml", "\udcfc"),
        ("cases.yaml", "- \x07"),
        ("cases.json", ""),
    ],
    ids=lambda text: text[:12],
)
def test_a_list_that_cannot_be_read_is_a_problem(root: Path, name: str, content: str) -> None:
    (root / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    catalog = find_studies(root, BRAIN)
    assert not catalog.studies
    assert name in reasons(catalog)["cases"]


@pytest.mark.parametrize("name", ["cases.json", "cases.yaml"])
def test_a_huge_list_is_not_read(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caselist, "MAX_BYTES", 1000)
    (root / name).write_text(json.dumps([GOOD] * 100))
    assert "more than 1000 bytes" in reasons(find_studies(root, BRAIN))["cases"]


def test_json_may_hold_characters_as_pairs(root: Path) -> None:
    nifti(root / "😀.nii.gz")
    (root / "cases.json").write_text('[{"id": "a", "sequences": {"T2": "\\ud83d\\ude00.nii.gz"}}]')
    assert set(find_studies(root, BRAIN).studies) == {"a"}


def test_a_json_list_may_be_yaml(root: Path) -> None:
    (root / "cases.json").write_text('[{"id": "a", "sequences": {"T2": "a.nii.gz"}},]  # last')
    assert set(find_studies(root, BRAIN).studies) == {"a"}


def test_a_list_in_a_folder_below_is_no_list(tmp_path: Path) -> None:
    study(tmp_path / "p", "T2")
    (tmp_path / "p" / "cases.json").write_text(DEEP)
    assert set(find_studies(tmp_path, BRAIN).studies) == {"p"}
