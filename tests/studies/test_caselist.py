"""A wrong entry of cases.json or cases.yaml hides no other, and no list stops a start."""

import json
import os
from pathlib import Path

import pytest

from tests.studies.tiny_files import nifti, ramp, reasons, sequences, study
from zeus_app.studies import caselist
from zeus_app.studies.find import Catalog, find_studies
from zeus_app.targets import load_target
from zeus_app.targets.naming import safe_id

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
    assert set(catalog.studies) == {"Mu_7-a204fe9f"}  # of sha256sum
    assert catalog.former_ids == {"Mu_7": {"Mu_7-a204fe9f"}}


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


@pytest.mark.parametrize(
    "value", ["!!float ''", "2026-99-99", "!!timestamp x", "9" * 5000, f"0x{'9' * 5000}", "= 2"]
)
def test_a_damaged_value_is_a_problem_of_its_entry(root: Path, value: str) -> None:
    good = "- {id: good, sequences: {T2: a.nii.gz}}"
    (root / "cases.yaml").write_text(f"- {value}\n- id: {value}\n{good}\n")
    catalog = find_studies(root, BRAIN)
    assert set(catalog.studies) == {"good"}
    assert "case-1" in reasons(catalog)


IDS = {
    "010": "8", "1e3": "", "1_000": "1000", "0x1F": "31", "0b11": "3", "1:30": "90", "+7": "",
    "007": "7", "08": "", "7": "", "1.50": "1.5", "1.0e+3": "1000.0", ".inf": "", "yes": "True",
    "off": "", "null": "", "2020-01-01": "", "2020-1-1": "", "2026-99-99": "",
    "0": "", "000": "", "'010'": "", '"0x1F"': "", "!!str 011": "", "!!int '012'": "10",
}  # fmt: skip
"""An id in YAML -> the id that version 0.2.0 made of it, where it was another one."""


@pytest.mark.parametrize(("written", "former"), IDS.items())
def test_an_id_is_what_is_written(root: Path, written: str, former: str) -> None:
    (root / "cases.yaml").write_text(f"- id: {written}\n  sequences: {{T2: a.nii.gz}}\n")
    catalog = find_studies(root, BRAIN)
    name = written.split()[-1].strip("'\"")
    ((study_id, files),) = catalog.studies.items()
    assert study_id == safe_id(name)
    assert files.patient == name
    expected = {former: frozenset({study_id})} if former else {}
    assert catalog.former_ids == expected


@pytest.mark.parametrize(
    ("written", "name", "former"),
    [("10", "10", ""), ("1e3", "1e3", "1000.0"), ("true", "true", "True"), ("1.50", "1.50", "1.5"),
     ("NaN", "NaN", "nan"), ("-0", "0", ""), ("0", "0", ""), ('"010"', "010", "")],
)  # fmt: skip
def test_an_id_in_json_is_what_is_written(root: Path, written: str, name: str, former: str) -> None:
    (root / "cases.json").write_text(f'[{{"id": {written}, "sequences": {{"T2": "a.nii.gz"}}}}]')
    catalog = find_studies(root, BRAIN)
    assert set(catalog.studies) == {name}
    assert catalog.former_ids == ({former: frozenset({name})} if former else {})


def test_a_json_list_with_an_id_that_json_does_not_know_is_read_as_written(root: Path) -> None:
    (root / "cases.json").write_text('[{"id": 010, "sequences": {"T2": "a.nii.gz"}}]')
    assert set(find_studies(root, BRAIN).studies) == {"010"}


@pytest.mark.parametrize("name", ["cases.yaml", "cases.json"])
def test_an_entry_without_id_is_a_problem(root: Path, name: str) -> None:
    ids = ["", "~", "''"] if name == "cases.yaml" else ["null", '""']
    (root / name).write_text("[" + ", ".join(f'{{"id": {written}}}' for written in ids) + "]")
    assert all(
        "an entry without id" in reason for reason in reasons(find_studies(root, BRAIN)).values()
    )
    assert len(reasons(find_studies(root, BRAIN))) == len(ids)


def test_an_old_id_that_another_study_has_now_stays_with_that_study(root: Path) -> None:
    entry = "- {id: %s, sequences: {T2: a.nii.gz}}\n"
    (root / "cases.yaml").write_text("".join(entry % name for name in ("010", "8", "012")))
    assert find_studies(root, BRAIN).former_ids == {"10": frozenset({"012"})}


def test_sequences_paths_and_patients_are_what_is_written(root: Path) -> None:
    for name in ("010", "1e3", "2020-01-01"):
        nifti(root / name / "1_0.nii.gz")
    (root / "cases.yaml").write_text(
        "".join(
            f"- id: s{i}\n  patient: {name}\n  sequences: {{T2: {name}/1_0.nii.gz}}\n"
            for i, name in enumerate(("010", "1e3", "2020-01-01"))
        )
        + "- {id: channel, sequences: {T2: {path: 010, channel: 01}}, patient: 8, label: 010}\n"
        + "- {id: left_out, sequences: {T2: a.nii.gz}, patient: null, label: ~}\n"
    )
    nifti(root / "010.nii.gz", ramp(4, 4, 3, 2))
    catalog = find_studies(root, BRAIN)
    patients = {name: files.patient for name, files in catalog.studies.items()}
    assert patients == {
        "s0": "010", "s1": "1e3", "s2": "2020-01-01", "left_out": "left_out",
    }  # fmt: skip
    assert "/010" in reasons(catalog)["channel"]


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
