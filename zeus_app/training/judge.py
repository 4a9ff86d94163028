"""How good a model is on a prepared case, at the size it decodes."""

import numpy as np
import torch

from zeus_app.devices import autocast, moved
from zeus_app.fusion import unite
from zeus_app.protocols import Model
from zeus_app.training.cases import Case


@torch.inference_mode()
def volume_dsc(
    model: Model, case: Case, *, device: torch.device, union: str, batch_slices: int
) -> float:
    """Mean DSC over the labels that the truth or the union shows, per volume, at 256 px.

    Args:
        model: in evaluation mode.
        case: from this model's `prepare`.
        device: of the trainable part.
        union: how sequences unite.
        batch_slices: slices at once.

    Returns:
        In [0, 1]; 1 where there is nothing to find and nothing was found.
    """
    labels = case.mask_shape[0]
    overlap, total = np.zeros(labels), np.zeros(labels)
    for start in range(0, len(case.seen), batch_slices):
        picks = case.seen[start : start + batch_slices]
        batch = {name: moved(value, device) for name, value in case.prepared.batch(picks).items()}
        with autocast(device):
            logits = model.logits(batch)
        found = unite(logits, batch["present"], union=union) > 0.5
        truth = case.masks(picks).to(device)
        overlap += (found & truth).sum(dim=(0, 2, 3)).cpu().numpy()
        total += (found.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))).cpu().numpy()
    shown = total > 0
    return float(np.mean(2 * overlap[shown] / total[shown])) if shown.any() else 1.0
