"""Every shipped profile is whole, is described without weights, and says what it lacks."""

import re

import pytest

from zeus_app import build, named_yaml, profiles
from zeus_app.config import ZeusConfig
from zeus_app.describe import SKELETONS, describe
from zeus_app.errors import InputError
from zeus_app.profiles import load_profile
from zeus_app.state import state_folder
from zeus_app.targets import load_target
from zeus_app.weights import WEIGHTS, weights_folder

SHIPPED = sorted(named_yaml.shipped(profiles.__name__))
BRAIN = load_target("brain_tumour").only(("FLAIR", "T1Gd"))
PAPER_HYBRID, PAPER_LATE = 8_060_000, 12_440_000  # Table 2 of the paper


def trained(profile: str, **settings: str) -> int:
    rows = describe(ZeusConfig(**settings), load_profile(profile), BRAIN)  # type: ignore[arg-type]
    return sum(row.parameters for row in rows if row.trainable)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_tower_of_a_profile_is_known_and_its_weights_are_registered(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name and profile.about
    towers = [profile.image_encoder, profile.vision, profile.llm, profile.text_encoder]
    for role, tower in zip(SKELETONS, towers, strict=True):
        assert tower.kind in SKELETONS[role]
        assert tower.weights in WEIGHTS or tower.kind in ("pooled", "none", "endpoint")


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("fusion", ["hybrid", "late"])
def test_every_profile_is_described_without_its_weights(name: str, fusion: str) -> None:
    assert trained(name, fusion=fusion) > 0


def test_what_can_be_built_can_be_described() -> None:
    assert set(build.IMAGE_ENCODERS) == set(SKELETONS["image encoder"])
    assert {*build.VISION_TOWERS, "pooled", "none"} == set(SKELETONS["vision tower"])
    assert set(build.WRITERS) == set(SKELETONS["language model"])
    assert set(build.TEXT_ENCODERS) == set(SKELETONS["text encoder"])


@pytest.mark.parametrize("mode", ["text", "embedding", "both"])
def test_profile_paper_trains_no_more_than_the_paper_says(mode: str) -> None:
    assert trained("paper", fusion="hybrid", instruction=mode) <= PAPER_HYBRID
    assert trained("paper", fusion="late", instruction=mode) <= PAPER_LATE


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
    assert best.image_encoder.weights == "medsam-vit-b" and best.image_encoder.size == "vit_b"


def test_absent_weights_are_named_with_their_origin_size_licence_and_command(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    config = ZeusConfig(profile="paper", target="brain_tumour", state=weights_folder() / "state")
    state = state_folder(config, target="brain_tumour", studies=weights_folder())
    words = (
        r"sam_vit_b_01ec64\.pth is missing.*375\.0 MB in all, Apache-2\.0"
        r".*zeus weights get sam-vit-b"
    )
    with pytest.raises(InputError, match=re.compile(words, re.DOTALL)):
        build.build_segmenter(config, state)


def test_embedding_mode_is_refused_where_no_llm_reads_image_tokens() -> None:
    config = ZeusConfig(instruction="embedding", profile="biomed")
    with pytest.raises(InputError, match="instructions come from a vision_chat"):
        describe(config, load_profile("biomed"), BRAIN)
