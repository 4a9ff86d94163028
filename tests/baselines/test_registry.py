"""The contract of every network of the registry, in every fusion."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import labelled_study
from zeus_app.baselines import transunet
from zeus_app.baselines.fusion import FUSIONS, FusedNetwork, fuse
from zeus_app.baselines.registry import NETWORKS
from zeus_app.build import build_segmenter
from zeus_app.protocols import ABSENT
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.storage.state import state_folder
from zeus_app.studies.opened import open_study
from zeus_app.types import Grid, Study, Volume

SEQUENCES = ("T1", "T2")
LABELS = 2
SMALL = {
    **dict.fromkeys(["unet", "attunet", "resunet", "unetpp", "unext", "missformer"], 64),
    **dict.fromkeys(["llm4seg", "llm4seg-none", "llm4seg-random", "llm4seg-trained"], 64),
    "transunet": 64,
    "dynunet": 128,
}
"""Smallest edge that a network can be trained with; 256 for the others, as in Zeus."""
SHAPE, AFFINE = (32, 32, 2), np.diag([4.0, 4.0, 6.0, 1.0])


def new_network(name: str, fusion: str, labels: int = LABELS) -> FusedNetwork:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transunet, "LAYERS", 1)  # 27 M parameters instead of 105 M, the same code
        patch.setattr(transunet, "SIZE_PX", SMALL["transunet"])
        entry = NETWORKS[name]
        return fuse(entry.build, sequences=SEQUENCES, labels=labels, fusion=fusion)


def some_pixels(name: str) -> torch.Tensor:
    edge = SMALL.get(name, 256)
    return torch.rand(2, len(SEQUENCES), edge, edge, generator=torch.Generator().manual_seed(0))


def all_present() -> torch.Tensor:
    return torch.ones(2, len(SEQUENCES), dtype=torch.bool)


@pytest.fixture(scope="module", params=[(name, fusion) for name in NETWORKS for fusion in FUSIONS],
                ids="-".join)  # fmt: skip
def choice(request: pytest.FixtureRequest) -> tuple[str, str]:
    name, fusion = request.param
    return name, fusion


@pytest.fixture(scope="module")
def network(choice: tuple[str, str]) -> FusedNetwork:
    torch.manual_seed(0)
    return new_network(*choice)


def test_it_answers_every_branch_and_label_at_the_resolution_of_the_picture(
    choice: tuple[str, str], network: FusedNetwork
) -> None:
    name, fusion = choice
    pixels = some_pixels(name)
    with torch.inference_mode():
        logits = network.eval()(pixels, all_present())
    assert len(network.branches) == (len(SEQUENCES) if fusion == "late" else 1)
    assert logits.shape == (2, len(network.branches), LABELS, *pixels.shape[2:])


def test_what_an_absent_sequence_shows_changes_nothing(
    choice: tuple[str, str], network: FusedNetwork
) -> None:
    pixels, present = some_pixels(choice[0]), all_present()
    present[:, 1] = False
    with torch.inference_mode():
        logits = network.eval()(pixels, present)
        pixels[:, 1] = 1
        assert torch.equal(network(pixels, present), logits)
    assert torch.isfinite(logits).all()
    assert (logits[:, 0] != ABSENT).all()


def test_every_trained_parameter_has_a_finite_gradient(
    choice: tuple[str, str], network: FusedNetwork
) -> None:
    network.train()(some_pixels(choice[0]), all_present()).square().mean().backward()
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    bad = [name for name, p in trained.items() if p.grad is None or not p.grad.isfinite().all()]
    network.zero_grad()
    assert trained
    assert bad == []


def test_saved_weights_give_the_same_answer(choice: tuple[str, str], network: FusedNetwork) -> None:
    file = BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    loaded = new_network(*choice)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    pixels = some_pixels(choice[0])
    with torch.inference_mode():
        expected = network.eval()(pixels, all_present())
        assert torch.equal(loaded.eval()(pixels, all_present()), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_answers_a_single_label(name: str) -> None:
    pixels = some_pixels(name)
    with torch.inference_mode():
        logits = new_network(name, "hybrid", labels=1).eval()(pixels, all_present())
    assert logits.shape == (2, 1, 1, *pixels.shape[2:])


@pytest.mark.parametrize("name", NETWORKS)
def test_an_entry_says_where_the_network_comes_from_and_how_it_differs(name: str) -> None:
    entry = NETWORKS[name]
    assert entry.title
    assert entry.source
    assert entry.note


def read_study() -> Study:
    picture = np.random.default_rng(0).uniform(100, 200, SHAPE).astype(np.float32)
    picture[:8] = 0
    picture[12:20, 12:20] = 900
    return Study("s1", {"T2": Volume(picture, AFFINE)})


def read_label() -> Volume:
    label = np.zeros(SHAPE, np.uint8)
    label[12:20, 12:20] = 1
    return Volume(label, AFFINE)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_trained_and_answers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transunet, "LAYERS", 1)
    config = ZeusConfig.from_conf(
        {"target": "phantom", "sequences": "T2", "model": name, "device": "cpu"}
    )
    segmenter = build_segmenter(config, state_folder(config, target="phantom", studies=tmp_path))
    study = labelled_study(
        "s1", "s1", read_study=read_study, read_label=read_label, grid=Grid(SHAPE, AFFINE)
    )
    recipe = TrainConfig(epochs=1, batch_slices=2, validation_fraction=0)
    assert segmenter.fit([study], recipe).checkpoint.version == "v0001"
    answer = segmenter.segment(open_study(read_study(), segmenter.target))
    assert answer.checkpoint == "v0001"
    assert answer.label_map.array.shape == SHAPE
