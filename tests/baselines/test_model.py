"""A network of the registry behind the protocol that Zeus fulfils too."""

import numpy as np
import pytest
import torch

from zeus_app.baselines.model import NetworkModel, build
from zeus_app.errors import InputError
from zeus_app.models.fusion import NOTHING
from zeus_app.progress import silent
from zeus_app.protocols import ABSENT
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target
from zeus_app.types import Grid, Guidance, SliceFrame, SliceStack

CPU = torch.device("cpu")
TARGET = load_target("prostate")  # three sequences, one label
FUSIONS = ("early", "hybrid", "late")


def a_model(fusion: str, **settings: str) -> NetworkModel:
    return build("unet", ZeusConfig(model="unet", fusion=fusion, **settings), TARGET, CPU)


def a_stack() -> SliceStack:
    """Two slices; HBV is missing, and ADC shows nothing on the first."""
    frame = SliceFrame(Grid((256, 256, 2), np.eye(4)), 256, 256, 256, 0, 0)
    pixels = np.random.default_rng(0).random((3, 2, 256, 256), np.float32)
    pixels[2] = 0
    tissue = np.array([[True, True], [False, True], [False, False]])
    return SliceStack(TARGET.sequence_names, pixels, tissue, frame)


def parameters(fusion: str) -> int:
    return sum(row.parameters for row in a_model(fusion).describe())


@pytest.mark.parametrize(("fusion", "branches"), [("early", 1), ("hybrid", 1), ("late", 3)])
def test_it_answers_every_branch_and_label(fusion: str, branches: int) -> None:
    model = a_model(fusion)
    prepared = model.prepare(a_stack(), guidance=Guidance(), report=silent, keep_pixels=True)
    with torch.inference_mode():
        decoded = model.decode(prepared.batch([0, 1]))
    assert decoded.branches.shape == (2, branches, 1, 256, 256)
    assert len(model.branches) == branches
    assert decoded.union.shape == (2, 1, 256, 256)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_it_knows_which_sequence_shows_tissue_in_every_fusion(fusion: str) -> None:
    prepared = a_model(fusion).prepare(
        a_stack(), guidance=Guidance(), report=silent, keep_pixels=True
    )
    assert prepared.present.tolist() == [[True, False, False], [True, True, False]]


def test_late_fusion_leaves_out_what_a_sequence_does_not_show() -> None:
    model = a_model("late")
    prepared = model.prepare(a_stack(), guidance=Guidance(), report=silent, keep_pixels=True)
    with torch.inference_mode():
        logits = model.decode(prepared.batch([0])).branches
    assert (logits[0, 1:] == ABSENT).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_without_any_sequence_the_union_is_empty(fusion: str) -> None:
    model = a_model(fusion)
    batch = {"pixels": torch.rand(1, 3, 64, 64), "present": torch.zeros(1, 3, dtype=torch.bool)}
    with torch.inference_mode():
        assert (model.decode(batch).union == NOTHING).all()


def test_late_fusion_has_a_network_a_sequence() -> None:
    # The networks differ in their first convolution alone: two of 32 filters of 3×3 a channel.
    assert 3 * parameters("early") - parameters("late") == 3 * 2 * (32 * 9)


def test_a_seed_gives_the_same_weights_whatever_was_counted_before() -> None:
    torch.manual_seed(0)
    first = a_model("hybrid").trainable.state_dict()
    torch.manual_seed(0)
    build("unet", ZeusConfig(model="unet"), TARGET, torch.device("meta"))
    second = a_model("hybrid").trainable.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_belong_to_a_network_in_a_fusion() -> None:
    assert a_model("early").tower_ids == {"network": "U-Net, early fusion"}


def test_a_text_is_refused_because_the_network_reads_none() -> None:
    guidance = Guidance(texts={("T2", "prostate"): "the gland"})
    with pytest.raises(InputError, match="instructions for U-Net"):
        a_model("early").prepare(a_stack(), guidance=guidance, report=silent, keep_pixels=True)


@pytest.mark.parametrize("union", ["weighted", "features"])
def test_a_learned_union_is_refused_with_what_there_is(union: str) -> None:
    with pytest.raises(InputError, match="one of max, mean, vote"):
        a_model("late", union=union)
