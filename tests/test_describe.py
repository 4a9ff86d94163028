"""The rows of the paper's Table 1, against the true weight files and counts worked out by hand."""

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gguf import GGUFReader
from safetensors import safe_open
from typer.testing import CliRunner

from zeus_app import build, profiles
from zeus_app import describe as describe_module
from zeus_app.baselines.registry import PaperCounts
from zeus_app.commands import main as cli
from zeus_app.describe import ModelSize, describe, model_sizes, size_cells
from zeus_app.encoders.lite_medsam import load_prompt_encoder_and_decoder
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.profiles import Profile, load_profile
from zeus_app.protocols import ModuleInfo
from zeus_app.server.routes.zeus import zeus_routes
from zeus_app.settings import presets
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import state_folder
from zeus_app.targets import load_target
from zeus_app.weights import locate

TARGET = load_target("abdomen").only(("T2-SPIR", "T1-in"))
DECODER = 3_505_568
ALIGNER = 384 * 256 + 256
PROJECTION = 2 * 256 + 256 * 256 + 256 + 256 * 576 + 576
SMOLLM2 = 134_515_008
LAYERS, ATTENTION_SIDES = 30, (576 + 576) + 2 * (576 + 192) + (576 + 576)  # q, k and v, o


def small(**changes: dict[str, Any]) -> Profile:
    """Profile reference-small with other values in some of its entries."""
    profile = load_profile("reference-small")
    entries = {name: getattr(profile, name).model_copy(update=new) for name, new in changes.items()}
    return profile.model_copy(update=entries)


def rows(profile: Profile | None = None, **settings: str) -> dict[str, ModuleInfo]:
    """Symbol -> row, of a model with one decoder."""
    return {row.symbol: row for row in described(profile, **settings)}


def described(profile: Profile | None = None, **settings: str) -> list[ModuleInfo]:
    return describe(ZeusConfig(**settings), profile or small(), TARGET)


def trained(described_rows: list[ModuleInfo]) -> int:
    return sum(row.parameters for row in described_rows if row.trainable)


def test_the_papers_modules_come_in_its_order_and_three_of_them_learn() -> None:
    assert [(row.symbol, row.trainable) for row in described()] == [
        ("F_enc", False),
        ("F_v", False),
        ("f_vt", True),
        ("F_LLM", False),
        ("F_t", False),
        ("f_tt", True),
        ("F_pred", True),
    ]


@pytest.mark.parametrize(("fusion", "decoders"), [("hybrid", 1), ("late", 2)])
def test_what_learns_adds_up(fusion: str, decoders: int) -> None:
    rows_of_sam = described(decoder="sam", fusion=fusion, union="max")
    assert trained(rows_of_sam) == PROJECTION + ALIGNER + decoders * DECODER


# The read-out, worked out by hand. For each sequence: 3·48 compressed channels to 64, and 3·4
# pixels to 16 in a 3×3 neighbourhood. For all: norm, three 3×3 layers with norms, upsampling, a
# fine layer with its norm, and two linear layers for the vectors that weigh the features.
READ_OUT_OF_A_SEQUENCE = (144 * 64 + 64) + (12 * 16 * 9 + 16)
READ_OUT = (
    2 * 64 + 3 * (64 * 64 * 9 + 64 + 2 * 64) + (64 * 128 + 128) + (48 * 32 * 9 + 32 + 2 * 32)
    + (256 * 128 + 128) + (128 * 129 + 129)
)  # fmt: skip


def test_the_read_out_of_two_sequences_has_205_121_parameters() -> None:
    read_out = READ_OUT + 2 * READ_OUT_OF_A_SEQUENCE
    assert read_out == 205_121
    found = trained(described(decoder="readout", union="features"))
    assert found == PROJECTION + ALIGNER + read_out


def test_in_late_fusion_each_sequence_has_a_read_out_of_its_own() -> None:
    found = trained(described(decoder="readout", fusion="late", union="max"))
    assert found == PROJECTION + ALIGNER + 2 * (READ_OUT + READ_OUT_OF_A_SEQUENCE)


def test_a_union_that_learns_is_a_row_with_a_weight_for_each_label_and_sequence() -> None:
    row = described(decoder="sam", union="weighted")[-1]
    assert (row.name, row.trainable) == ("weights of the union", True)
    assert row.parameters == 2 * 4 + 4


def test_a_union_of_features_needs_the_read_out_in_hybrid_fusion() -> None:
    with pytest.raises(InputError, match="--set decoder=readout"):
        described(decoder="sam", union="features")
    with pytest.raises(InputError, match="--fusion hybrid"):
        described(decoder="readout", fusion="late", union="features")


def test_in_late_fusion_each_sequence_has_a_decoder_of_its_own() -> None:
    names = [row.name for row in described(fusion="late") if row.symbol == "F_pred"]
    assert names == ["mask decoder of T2-SPIR", "mask decoder of T1-in"]


def test_what_is_described_is_what_is_built() -> None:
    net = build.trainable_net(
        ZeusConfig(fusion="late"),
        small(),
        target=TARGET,
        load_sam=partial(load_prompt_encoder_and_decoder, locate("lite-medsam")),
    )
    built = sum(parameter.numel() for parameter in net.parameters())
    assert trained(described(fusion="late")) == built


def test_the_image_encoder_has_the_parameters_of_its_checkpoint() -> None:
    state = torch.load(locate("lite-medsam"), weights_only=True)
    not_learnt = ("running_mean", "running_var", "num_batches_tracked", "attention_bias_idxs")
    sizes = [
        value.numel()
        for key, value in state.items()
        if key.startswith("image_encoder.") and not key.endswith(not_learnt)
    ]
    assert rows()["F_enc"].parameters == sum(sizes)


def test_the_text_encoder_has_the_parameters_of_its_checkpoint() -> None:
    with safe_open(locate("minilm-l6"), "pt") as state:
        names = list(state.keys())
        keys = [name for name in names if "position_ids" not in name]
        sizes = [state.get_tensor(key).numel() for key in keys]
    assert rows()["F_t"].parameters == sum(sizes)


def test_the_llm_has_the_parameters_of_its_checkpoint() -> None:
    tensors = GGUFReader(locate("smollm2-135m")).tensors
    assert rows()["F_LLM"].parameters == sum(int(tensor.n_elements) for tensor in tensors)


def test_the_pooled_feature_has_no_parameters_of_its_own() -> None:
    assert rows()["F_v"].parameters == 0


def test_no_weights_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    assert trained(described()) > 0


@pytest.mark.parametrize("name", presets.shipped(profiles.__name__))
def test_every_shipped_profile_can_be_described(name: str) -> None:
    assert trained(described(load_profile(name))) > 0


@pytest.mark.parametrize(
    ("precision", "size"),
    [
        ("float32", 4 * SMOLLM2),
        ("bfloat16", 2 * SMOLLM2),
        ("8bit", 2 * SMOLLM2 - 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)),
    ],
)
def test_an_llms_memory_follows_its_precision(precision: str, size: int) -> None:
    assert rows(small(llm={"precision": precision}))["F_LLM"].memory_bytes == size


def test_an_llms_memory_is_that_on_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describe_module, "choose_device", lambda name: name)
    monkeypatch.setattr(
        describe_module,
        "resolve",
        lambda precision, device: "bfloat16" if device == "cuda:1" else "float32",
    )
    assert rows(device="cpu", llm_device="cuda:1")["F_LLM"].memory_bytes == 2 * SMOLLM2
    assert rows(device="cpu")["F_LLM"].memory_bytes == 4 * SMOLLM2


def test_in_four_bits_a_linear_weight_takes_half_a_byte_and_its_share_of_a_scale() -> None:
    linear = 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
    row = rows(small(llm={"precision": "4bit"}))["F_LLM"]
    assert row.memory_bytes == linear // 2 + linear // 64 * 4 + 2 * (SMOLLM2 - linear)


def test_a_decoders_memory_holds_its_positional_code_too() -> None:
    buffers = 256 * 64 * 64 + 256
    assert rows(decoder="sam")["F_pred"].memory_bytes == 4 * (DECODER + buffers)


def test_lora_is_a_row_that_learns() -> None:
    row = rows(small(llm={"lora_rank": 4}))["LoRA"]
    assert (row.trainable, row.parameters) == (True, LAYERS * 4 * ATTENTION_SIDES)


def test_lora_leaves_the_llms_own_row_as_it_is() -> None:
    assert rows(small(llm={"lora_rank": 4}))["F_LLM"] == rows()["F_LLM"]


@pytest.mark.parametrize(
    ("projection", "class_name", "learns"),
    [
        ("mlp", "VisionProjector", True),
        ("qformer", "QFormerProjector", True),
        ("fixed", "FixedProjector", False),
    ],
)
def test_the_profile_chooses_the_projection(projection: str, class_name: str, learns: bool) -> None:
    row = rows(small(vision={"projection": projection}))["f_vt"]
    assert (row.class_name, row.trainable) == (class_name, learns)


def test_an_llm_of_ones_own_is_counted_from_its_config() -> None:
    architecture = {
        "model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 10,
        "n_positions": 6,
    }  # fmt: skip
    row = rows(small(llm={"weights": "mine", "architecture": architecture}))["F_LLM"]
    block = 2 * 16 + (8 * 24 + 24) + (8 * 8 + 8) + (8 * 32 + 32) + (32 * 8 + 8)
    assert row.parameters == 10 * 8 + 6 * 8 + block + 16


def test_an_unknown_tower_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown text encoder 'minlm'.*'minilm'"):
        described(small(text_encoder={"kind": "minlm"}))


def test_early_fusion_is_refused_as_it_is_when_zeus_is_built(tmp_path: Path) -> None:
    config = ZeusConfig(fusion="early")
    state = state_folder(config, target=TARGET.name, studies=tmp_path)
    with pytest.raises(InputError, match="leave nothing to instruct") as described_error:
        describe(config, small(), TARGET)
    with pytest.raises(InputError) as built_error:
        build.build_zeus(config, TARGET, torch.device("cpu"), state)
    assert str(described_error.value) == str(built_error.value)


def test_a_baseline_describes_itself() -> None:
    rows = described(model="unet", fusion="late")
    assert [(row.symbol, row.name) for row in rows] == [("U-Net", "T2-SPIR"), ("U-Net", "T1-in")]


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'unett'.*'unet'"):
        described(model="unett")


@pytest.fixture(scope="module")
def sizes() -> dict[str, ModelSize]:
    """All models, asked from the settings of a network that has another fusion and union."""
    config = ZeusConfig(model="unet", fusion="early", union="mean")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(describe_module, "plugin_models", lambda: {"lab": None})
        return {size.title: size for size in model_sizes(config, small(), TARGET)}


def test_all_models_are_listed(sizes: dict[str, ModelSize]) -> None:
    assert {size.model for size in sizes.values()} == {*build.MODELS, "lab"}


def test_zeus_is_listed_with_what_each_decoder_trains(sizes: dict[str, ModelSize]) -> None:
    rest = PROJECTION + ALIGNER
    of_sam = {"hybrid": rest + DECODER, "late": rest + 2 * DECODER}
    assert sizes["Zeus, decoder sam"].trained == of_sam
    assert sizes["Zeus, decoder readout"].trained["hybrid"] == trained(
        described(decoder="readout", union="features")
    )


def test_every_network_is_counted_in_three_fusions(sizes: dict[str, ModelSize]) -> None:
    counts = [size.trained for size in sizes.values() if size.model in build.BASELINES]
    assert {tuple(count) for count in counts} == {("early", "hybrid", "late")}


def test_a_plugin_is_listed_without_numbers(sizes: dict[str, ModelSize]) -> None:
    assert size_cells(sizes["lab"]) == ["–"] * 6


def test_the_counts_stand_beside_those_of_the_paper() -> None:
    paper = PaperCounts(hybrid=8.06, late=12.44)
    size = ModelSize("zeus", "Zeus", {"hybrid": 3_711_000, "late": 10_740_000}, paper, "")
    assert size_cells(size) == ["–", "3.71", "10.74", "–", "8.06", "12.44"]


def run_cli(*options: str) -> str:
    arguments = ["describe", "--target", "abdomen", "--sequences", "T2-SPIR,T1-in", *options]
    return CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "120"}).stdout


def test_the_table_ends_with_what_is_trained() -> None:
    total = PROJECTION + ALIGNER + 2 * DECODER
    last = run_cli("--fusion", "late", "--set", "decoder=sam").splitlines()[-1]
    assert last == f"7.32 M parameters are trained ({total:,})"


def test_the_server_and_the_command_give_the_same_rows() -> None:
    context: Any = SimpleNamespace(config=ZeusConfig(fusion="late"), target=TARGET)
    server = FastAPI()
    server.include_router(zeus_routes(lambda: context))
    answer = TestClient(server).get("/zeus/describe").json()
    assert answer == json.loads(run_cli("--fusion", "late", "--json"))


def test_towers_that_were_never_run_with_published_weights_are_named() -> None:
    line = "Never run with published weights, only tested: "
    assert line + "image encoder, vision feature, LLM, text encoder" in run_cli(
        "--profile", "paper"
    )
    assert line not in run_cli()


@pytest.fixture
def one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = PaperCounts(early=18.31, hybrid=40.04, late=54.94)
    size = ModelSize("unet", "U-Net", {"early": 2_640_000}, paper, "narrower than the paper's")
    monkeypatch.setattr(describe_module, "model_sizes", lambda *described: [size])


@pytest.mark.usefixtures("one_size")
def test_the_command_lists_models_and_explains_the_difference_from_the_paper() -> None:
    *table, note = run_cli("--models").splitlines()
    row = next(line for line in table if "unet" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "unet", "U-Net", "2.64", "–", "–", "18.31", "40.04", "54.94",
    ]  # fmt: skip
    assert note == "U-Net: narrower than the paper's"


@pytest.mark.usefixtures("one_size")
def test_the_command_lists_models_as_json() -> None:
    (row,) = json.loads(run_cli("--models", "--json"))
    assert (row["model"], row["trained"]) == ("unet", {"early": 2_640_000})
