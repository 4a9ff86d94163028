"""Weights with their licences, and the encoder runtime."""

import json
from pathlib import Path

import pytest

from zeus_app.commands.doctor.probe_process import Probe
from zeus_app.commands.doctor.sections import Section
from zeus_app.commands.doctor.weights import fill_runtime, fill_weights
from zeus_app.weights import WEIGHTS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    return tmp_path


def write_choice(folder: Path, key: str, text: str = "") -> Path:
    path = folder / "lite-medsam" / f"lite_medsam-0123-runtime-{key}.json"
    path.parent.mkdir(exist_ok=True)
    measured = [
        {"name": "torch", "seconds": 0.5, "why_not": ""},
        {"name": "onnx", "seconds": None, "why_not": "not installed"},
    ]
    path.write_text(text or json.dumps({"chosen": "torch", "measured": measured}))
    return path


def test_default_weights_that_are_missing_or_damaged_are_problems_with_their_command(
    folder: Path,
) -> None:
    (folder / "lite-medsam").mkdir()
    (folder / "lite-medsam" / "lite_medsam.pth").write_bytes(b"short")
    section = Section("weights")
    fill_weights(section)
    assert section.facts["folder"] == "the one that ZEUS_WEIGHTS names"
    assert section.facts["lite-medsam"].startswith("damaged; 0.0 MB; licence Apache-2.0; from ")
    problems = {problem.what: problem.remedy for problem in section.problems}
    assert set(problems) == {
        "the weights lite-medsam are damaged", "the weights minilm-l6 are missing",
        "the weights smollm2-135m are missing",
    }  # fmt: skip
    assert "zeus weights get minilm-l6" in problems["the weights minilm-l6 are missing"]
    assert section.facts["others"].startswith(f"{len(WEIGHTS) - 3} are not here")


def test_weights_of_other_profiles_that_are_here_are_listed(folder: Path) -> None:
    (folder / "sam-vit-b").mkdir()
    (folder / "sam-vit-b" / WEIGHTS["sam-vit-b"].file).write_bytes(b"short")
    section = Section("weights")
    fill_weights(section)
    assert section.facts["sam-vit-b"].startswith("damaged")


def test_a_record_of_hashes_that_cannot_be_read_is_a_problem_of_its_weight(folder: Path) -> None:
    (folder / "minilm-l6").mkdir()
    for file in WEIGHTS["minilm-l6"].files:
        with (folder / "minilm-l6" / file.name).open("wb") as stream:
            stream.truncate(file.expected_bytes)
    (folder / "minilm-l6" / "hashes.json").write_text("{")
    section = Section("weights")
    fill_weights(section)
    assert "hashes.json" in next(p.what for p in section.problems if "minilm-l6:" in p.what)


def test_the_runtime_measured_on_this_machine_is_told_with_its_seconds(folder: Path) -> None:
    write_choice(folder, "aaaa1111")
    write_choice(folder, "bbbb2222")
    section = Section("encoder runtime")
    fill_runtime(section, Probe(runtime_key="aaaa1111"))
    assert section.facts == {
        "lite-medsam: chosen": "torch",
        "lite-medsam: seconds a slice": "torch 0.50",
        "lite-medsam: onnx does not run": "not installed",
        "measured elsewhere": "1 (other versions or machines)",
    }


@pytest.mark.parametrize(
    ("probe", "told"),
    [(Probe(runtime_key="cccc3333"), "not measured yet"), (Probe(), "unknown"),
     (Probe(gpu="NVIDIA"), "PyTorch on the GPU")],
)  # fmt: skip
def test_without_a_measurement_it_says_why(folder: Path, probe: Probe, told: str) -> None:
    section = Section("encoder runtime")
    fill_runtime(section, probe)
    assert section.facts["chosen"].startswith(told)
    assert section.problems == []


@pytest.mark.parametrize("text", ["{", "[]", '{"chosen": 1}', '{"chosen": "a", "measured": [1]}'])
def test_a_record_that_cannot_be_read_is_a_problem(folder: Path, text: str) -> None:
    path = write_choice(folder, "aaaa1111", text)
    section = Section("encoder runtime")
    fill_runtime(section, Probe(runtime_key="aaaa1111"))
    assert f"rm {path}" in section.problems[0].remedy
