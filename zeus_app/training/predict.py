"""One batch of slices through a model, as an inference answers: shared with validation."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from zeus_app.devices import autocast, to_device
from zeus_app.protocols import Batch, Decoded, Model, Prepared
from zeus_app.training.cases import Case


@runtime_checkable
class TakesSecondLook(Protocol):
    """A model that may draw its masks again after it has decoded them."""

    def second_look(
        self, prepared: Prepared, slices: Sequence[int], union: torch.Tensor
    ) -> torch.Tensor:
        """Draw masks again.

        Args:
            prepared: the study.
            slices: B axial slices.
            union: (B, K, 256, 256) float32 logits of these slices.

        Returns:
            (B, K, 256, 256) float32 logits.
        """

    def choose_second_look(self, cases: Sequence[Case]) -> None:
        """Decide for each label, on training cases, whether the second look enters."""


def batch_on(device: torch.device, prepared: Prepared, slices: Sequence[int]) -> Batch:
    """The tensors of B slices on a device."""
    return {name: to_device(tensor, device) for name, tensor in prepared.batch(slices).items()}


@torch.inference_mode()
def predict(
    model: Model,
    prepared: Prepared,
    slices: Sequence[int],
    *,
    device: torch.device,
    branches: bool = True,
    second_look: bool = True,
) -> Decoded:
    """Decode B slices in evaluation mode, with the model's second look if it takes one.

    Args:
        model: must be in evaluation mode.
        prepared: a study that this model prepared.
        slices: axial slices with tissue.
        device: of the model's trainable part.
        branches: False if the caller needs the union alone.
        second_look: False answers with the first look, in a fraction of the time.

    Returns:
        float32 logits.
    """
    with autocast(device):
        decoded = model.decode(batch_on(device, prepared, slices), branches=branches)
    union = decoded.union.float()
    if second_look and isinstance(model, TakesSecondLook):
        union = model.second_look(prepared, slices, union)
    return Decoded(decoded.branches.float(), union)
