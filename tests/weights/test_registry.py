"""The shipped registry: every entry is well-formed and consistent."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from zeus_app.weights import WEIGHTS, Weight, locate
from zeus_app.weights.entries import Hub, Manual, Url, Wheel

EVERY = sorted(WEIGHTS)
WITH_ARCHITECTURE = [name for name in EVERY if WEIGHTS[name].architecture]
# What their files hold was worked out from the count (13B, Rad), or is 4 bits a number: no witness.
NO_WITNESS = {"vicuna-13b-v1.5", "vicuna-rad-7b", "smollm2-135m"}
BYTES_OF = {"float32": 4, "float16": 2, "bfloat16": 2}


def test_importing_reads_no_registry() -> None:
    code = """if True:
        import sys
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else 0)
        from zeus_app.weights import WEIGHTS
        print(sum(path.endswith(".yaml") for path in opened))
        len(WEIGHTS)
        print(sum(path.endswith(".yaml") for path in opened))
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    at_import, at_first_use = map(int, run.stdout.split())
    assert at_import == 0
    assert at_first_use > 0


def test_the_towers_that_the_paper_and_its_ablations_name_are_there() -> None:
    assert {
        "lite-medsam", "minilm-l6", "smollm2-135m", "smollm2-135m-safetensors", "sam-vit-b",
        "sam-vit-l", "sam-vit-h", "medsam-vit-b", "medclip-vit", "medclip-resnet",
        "clip-vit-b-16", "biomedclip", "blip2-opt-2.7b", "vicuna-7b-v1.5", "vicuna-rad-7b",
        "vicuna-13b-v1.5", "llama-2-7b-chat", "llama-3.2-1b-instruct",
        "deepseek-r1-distill-qwen-1.5b", "qwen2.5-1.5b-instruct", "qwen3-0.6b", "medgemma-4b-it",
    } <= set(EVERY)  # fmt: skip


def test_only_those_of_reference_small_are_fetched_without_being_named() -> None:
    default = {name for name in EVERY if WEIGHTS[name].default}
    assert default == {"lite-medsam", "minilm-l6", "smollm2-135m"}


@pytest.mark.parametrize("name", EVERY)
def test_a_name_is_no_path_and_can_be_located(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    with pytest.raises(Exception, match=f"weight file {tmp_path}/{name}/.* is missing"):
        locate(name)


@pytest.mark.parametrize("name", ["medclip-vit", "medclip-resnet", "biomedclip"])
def test_no_file_is_asked_for_that_no_loader_reads(name: str) -> None:
    """These loaders have the configuration of their BERT, or read bert_config.json."""
    assert "config.json" not in {file.name for file in WEIGHTS[name].files}


@pytest.mark.parametrize("name", EVERY)
def test_no_two_files_of_a_weight_share_a_name(name: str) -> None:
    names = [file.name for file in WEIGHTS[name].files]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", EVERY)
def test_the_size_of_the_parameters_is_known_at_least_roughly(name: str) -> None:
    parameters = [
        file
        for file in WEIGHTS[name].files
        if re.search(r"\.(pth|bin|safetensors|gguf)$", file.path)
    ]
    assert parameters[0] == WEIGHTS[name].files[0]
    assert all(file.expected_bytes > 10_000_000 for file in parameters)
    assert WEIGHTS[name].size_text.endswith(("MB", "GB"))


@pytest.mark.parametrize("name", EVERY)
def test_a_size_is_exact_or_rough_but_not_both(name: str) -> None:
    assert not [file for file in WEIGHTS[name].files if file.size and file.about]


@pytest.mark.parametrize("name", EVERY)
def test_all_parts_of_a_sharded_model_are_listed(name: str) -> None:
    shards = [re.search(r"-(\d{5})-of-(\d{5})\.", file.path) for file in WEIGHTS[name].files]
    numbers = [(int(shard[1]), int(shard[2])) for shard in shards if shard]
    if numbers:
        total = numbers[0][1]
        assert numbers == [(number, total) for number in range(1, total + 1)]
        assert any(file.path.endswith(".index.json") for file in WEIGHTS[name].files)


@pytest.mark.parametrize("name", EVERY)
def test_a_file_out_of_a_wheel_has_its_hash_pinned(name: str) -> None:
    weight = WEIGHTS[name]
    if isinstance(weight.source, Wheel):
        assert all(file.sha256 and file.size for file in weight.files)


@pytest.mark.parametrize("name", EVERY)
def test_a_plain_address_stands_for_one_file(name: str) -> None:
    weight = WEIGHTS[name]
    if isinstance(weight.source, Url) and not weight.source.zip:
        derived = [file for file in weight.files if file.source is None]
        assert [file.name for file in derived] == [weight.source.url.rsplit("/", 1)[1]]


@pytest.mark.parametrize("name", EVERY)
def test_a_licence_that_forbids_commerce_says_so_in_its_summary(name: str) -> None:
    licence = WEIGHTS[name].licence
    assert licence.non_commercial == ("non-commercial" in licence.summary)
    assert "\n" not in licence.summary


@pytest.mark.parametrize("name", EVERY)
def test_a_gated_weight_comes_from_the_hub(name: str) -> None:
    weight = WEIGHTS[name]
    assert not weight.licence.gated or isinstance(weight.source, Hub)


def test_vicuna_rad_is_fetched_by_hand_and_is_not_for_commerce() -> None:
    weight = WEIGHTS["vicuna-rad-7b"]
    assert isinstance(weight.source, Manual)
    assert weight.licence.non_commercial


@pytest.mark.parametrize("name", sorted(set(WITH_ARCHITECTURE) - NO_WITNESS))
def test_the_architecture_has_as_many_parameters_as_the_files_hold(name: str) -> None:
    """Two independent counts: parameters of modules, and published bytes."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    weight = WEIGHTS[name]
    config = AutoConfig.for_model(**weight.architecture or {})
    sees = config.model_type in {"blip-2", "gemma3"}
    model_class = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    with torch.device("meta"):
        model = model_class.from_config(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    if name == "qwen3-0.6b":  # its file holds the tied output layer a second time
        count += config.vocab_size * config.hidden_size
    dtype = next((d for d in BYTES_OF if weight.role.endswith(d)), "bfloat16")
    parts = [f for f in weight.files if re.search(r"\.(bin|safetensors)$", f.path)]
    parameters = sum(file.expected_bytes for file in parts) / BYTES_OF[dtype]
    assert count == pytest.approx(parameters, rel=3e-4)


@pytest.mark.parametrize(
    "entry",
    [
        {"source": {"hub": "a/b", "revision": "main"}},  # a branch moves
        {"source": {"url": "ftp://host/file"}},
        {"files": [{"path": "model.bin", "sha256": "0x12"}]},
        {"files": []},
        {"licence": {"name": "MIT"}},
    ],
)
def test_a_malformed_entry_is_refused(entry: dict[str, object]) -> None:
    good = {**WEIGHTS["sam-vit-b"].model_dump(), "name": "tiny"}
    Weight.model_validate(good)
    with pytest.raises(ValidationError):
        Weight.model_validate({**good, **entry})
