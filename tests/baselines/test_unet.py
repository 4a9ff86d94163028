"""The U-Net baseline passes the same checks as Zeus."""

import numpy as np
import pytest
import torch

from zeus_app.baselines.unet import build
from zeus_app.errors import InputError
from zeus_app.progress import silent
from zeus_app.protocols import ABSENT
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target
from zeus_app.types import Grid, Guidance, SliceFrame, SliceStack

CPU = torch.device("cpu")
TARGET = load_target("prostate")  # three sequences, one label


def a_stack() -> SliceStack:
    """Two slices; HBV is missing, and ADC shows nothing on the first."""
    frame = SliceFrame(Grid((256, 256, 2), np.eye(4)), 256, 256, 256, 0, 0)
    pixels = np.random.default_rng(0).random((3, 2, 256, 256), np.float32)
    pixels[2] = 0
    tissue = np.array([[True, True], [False, True], [False, False]])
    return SliceStack(TARGET.sequence_names, pixels, tissue, frame)


@pytest.mark.parametrize(("fusion", "branches"), [("early", 1), ("late", 3)])
def test_it_answers_every_branch_and_label(fusion: str, branches: int) -> None:
    model = build(ZeusConfig(model="unet", fusion=fusion), TARGET, CPU)
    prepared = model.prepare(a_stack(), guidance=Guidance(), report=silent, keep_pixels=True)
    with torch.inference_mode():
        logits = model.decode(prepared.batch([0, 1])).branches
    assert logits.shape == (2, branches, 1, 256, 256)


def test_late_fusion_leaves_out_what_a_sequence_does_not_show() -> None:
    model = build(ZeusConfig(model="unet", fusion="late"), TARGET, CPU)
    prepared = model.prepare(a_stack(), guidance=Guidance(), report=silent, keep_pixels=True)
    assert prepared.present.tolist() == [[True, False, False], [True, True, False]]
    with torch.inference_mode():
        logits = model.decode(prepared.batch([0])).branches
    assert (logits[0, 1:] == ABSENT).all()


def test_late_fusion_has_a_network_a_sequence() -> None:
    def parameters(fusion: str) -> int:
        model = build(ZeusConfig(model="unet", fusion=fusion), TARGET, CPU)
        return sum(row.parameters for row in model.describe())

    # The networks differ in their first convolution alone: two of 32 filters of 3x3 a channel.
    assert 3 * parameters("early") - parameters("late") == 3 * 2 * (2 * 32 * 9)


def test_hybrid_fusion_is_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match="early or late"):
        build(ZeusConfig(model="unet", fusion="hybrid"), TARGET, CPU)
