"""Every shipped profile is complete, can be described without weights, and names missing parts."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from zeus_app import build, profiles
from zeus_app.describe import describe
from zeus_app.errors import InputError
from zeus_app.profiles import load_profile, weights_of
from zeus_app.profiles.fitting import refuse_idle_lora
from zeus_app.settings import presets
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.storage.state import state_folder
from zeus_app.targets import load_target
from zeus_app.towers import TOWERS
from zeus_app.weights import WEIGHTS, locate

SHIPPED = sorted(presets.shipped(profiles.__name__))
BRAIN = load_target("brain_tumour").only(("FLAIR", "T1Gd"))
PAPER_HYBRID, PAPER_LATE = 8_060_000, 12_440_000  # Table 2 of the paper


def trained(profile: str, **settings: str) -> int:
    rows = describe(ZeusConfig(**settings), load_profile(profile), BRAIN)
    return sum(row.parameters for row in rows if row.trainable)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_tower_of_a_profile_is_known_and_its_weights_are_registered(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.about
    towers: list[Any] = [
        profile.image_encoder, profile.vision, profile.llm, profile.text_encoder
    ]  # fmt: skip
    for role, tower in zip(TOWERS, towers, strict=True):
        assert tower.kind in TOWERS[role]
        assert tower.weights in WEIGHTS or tower.kind in ("pooled", "none", "endpoint")


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("fusion", ["hybrid", "late"])
def test_every_profile_is_described_without_its_weights(name: str, fusion: str) -> None:
    assert trained(name, fusion=fusion) > 0


@pytest.mark.parametrize("mode", ["text", "embedding", "both"])
@pytest.mark.parametrize("decoder", ["readout", "sam"])
def test_profile_paper_trains_no_more_than_the_paper_says(mode: str, decoder: str) -> None:
    settings = {"instruction": mode, "decoder": decoder, "union": "max"}
    assert trained("paper", fusion="hybrid", **settings) <= PAPER_HYBRID
    assert trained("paper", fusion="late", **settings) <= PAPER_LATE


@pytest.mark.parametrize("fusion", ["hybrid", "late"])
def test_reference_small_trains_less_than_the_paper(fusion: str) -> None:
    assert trained("reference-small", fusion=fusion) < trained("paper", fusion=fusion)


def test_table_3_adds_lora_in_its_even_rows() -> None:
    ranks = [load_profile(f"table3-row{row}").llm.lora_rank for row in (1, 2, 3, 4)]
    assert [rank > 0 for rank in ranks] == [False, True, False, True]


def test_table_4_leaves_the_projection_untrained_in_its_first_three_rows() -> None:
    kinds = [load_profile(f"table4-row{row}").vision.projection for row in range(1, 8)]
    assert kinds == ["fixed"] * 3 + ["mlp"] * 4


def test_a_profile_that_extends_another_keeps_what_it_does_not_say() -> None:
    paper, best = load_profile("paper"), load_profile("paper-medsam")
    assert (best.vision, best.llm, best.text_encoder) == (
        paper.vision, paper.llm, paper.text_encoder
    )  # fmt: skip
    assert best.image_encoder.weights == "medsam-vit-b"
    assert best.image_encoder.size == "vit_b"


def test_all_absent_weights_are_named_at_once_with_their_origin_size_licence_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    config = ZeusConfig(profile="paper", target="brain_tumour", state=tmp_path / "state")
    state = state_folder(config, target="brain_tumour", studies=tmp_path)
    with pytest.raises(InputError) as missing:
        build.build_segmenter(config, state)
    message = str(missing.value)
    lines = {line.strip().split(":")[0]: line for line in message.splitlines()}
    sam, medclip, rad = (lines[name] for name in ("sam-vit-b", "medclip-vit", "vicuna-rad-7b"))
    assert "sam_vit_b_01ec64.pth from https://dl.fbaipublicfiles.com/" in sam
    assert "375.0 MB in all, Apache-2.0; run `zeus weights get sam-vit-b`" in sam
    assert re.search(r"vocab\.txt from hub emilyalsentzer/Bio_ClinicalBERT", medclip)
    assert re.search(r"non-commercial; .*https://github\.com/mbzuai-oryx/XrayGPT", rad)
    assert "run `zeus weights get paper` for all of them" in message


def test_a_weight_that_two_towers_share_is_needed_once() -> None:
    assert weights_of(load_profile("paper")) == ["sam-vit-b", "medclip-vit", "vicuna-rad-7b"]


def test_the_model_of_a_server_and_files_of_the_user_are_no_weights_to_get() -> None:
    assert weights_of(load_profile("hospital-server")) == ["lite-medsam", "minilm-l6"]
    profile = load_profile("paper")
    user_encoder = profile.image_encoder.model_copy(update={"weights": "my/sam.pth"})
    user_profile = profile.model_copy(update={"image_encoder": user_encoder})
    assert weights_of(user_profile) == ["medclip-vit", "vicuna-rad-7b"]


def written(path: Path, **settings: object) -> str:
    path.write_text(yaml.safe_dump({"extends": "reference-small", "name": path.stem, **settings}))
    return str(path)


def test_a_profile_brings_weights_that_no_registry_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    entry = {
        "role": "LLM",
        "source": {"hub": "someone/llm", "revision": "0" * 40},
        "licence": {"name": "MIT", "summary": "free"},
        "files": [{"path": "model.safetensors", "about": 10_000_000}, "config.json"],
        "architecture": {"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2,
                         "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 10},
    }  # fmt: skip
    path = written(
        tmp_path / "better.yaml", weights={"my-llm": entry}, llm={"weights": "my-llm", "hidden": 8}
    )
    try:
        profile = load_profile(path)
        assert weights_of(profile) == ["lite-medsam", "my-llm", "minilm-l6"]
        with pytest.raises(InputError, match=rf"hub someone/llm(.|\n)*zeus weights get {path}"):
            locate("my-llm")
        rows = {row.symbol: row for row in describe(ZeusConfig(), profile, BRAIN)}
        # embedding and head 80 each; q, k, v, o 64 each; three of 8 x 8; three norms of 8
        assert rows["F_LLM"].parameters == 2 * 80 + 4 * 64 + 3 * 64 + 3 * 8
    finally:
        WEIGHTS.pop("my-llm", None)


def test_an_entry_of_a_weight_that_is_not_whole_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "better.yaml", weights={"my-llm": {"role": "LLM"}})
    with pytest.raises(InputError, match=r"weights\.my-llm\.source"):
        load_profile(path)


@pytest.mark.parametrize("kind", ["causal", "vision_chat"])
def test_only_a_server_can_be_sent_pictures(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path / "sends.yaml", llm={"kind": kind, "send_pictures": True})
    with pytest.raises(InputError, match="send_pictures is for kind endpoint"):
        load_profile(path)


def test_embedding_mode_is_refused_where_no_llm_reads_image_tokens() -> None:
    config = ZeusConfig(instruction="embedding", profile="biomed")
    with pytest.raises(InputError, match="instructions come from a vision_chat"):
        describe(config, load_profile("biomed"), BRAIN)


def test_a_training_in_which_lora_would_learn_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"LoRA of rank 8(.|\n)*projection_share above 0"):
        refuse_idle_lora(ZeusConfig(), load_profile("table3-row2"), TrainConfig())


@pytest.mark.parametrize(
    ("profile", "instruction", "recipe"),
    [
        ("table3-row1", "text", {}),  # has no LoRA
        ("table3-row2", "embedding", {}),
        ("table3-row2", "both", {}),
        ("table3-row2", "text", {"projection_share": 0.3}),
        ("table3-row2", "text", {"start": "served"}),  # keeps the weights of the earlier training
    ],
)
def test_a_training_in_which_all_that_learns_can_learn_is_not(
    profile: str, instruction: str, recipe: dict[str, object]
) -> None:
    config = ZeusConfig.from_conf({"instruction": instruction})
    refuse_idle_lora(config, load_profile(profile), TrainConfig.from_conf(recipe))
