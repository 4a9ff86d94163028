"""Pausing a running `generate` of transformers between two tokens."""

from collections.abc import Callable

import torch

from zeus_app.progress import Pause

StoppingCriterion = Callable[..., torch.Tensor]
"""(tokens, scores, ...) -> (N,) bool, as transformers calls it after each token."""


def pause_between_tokens(pause: Pause) -> StoppingCriterion:
    """A stopping criterion that calls `pause` after each token and never ends a text.

    `pause` may wait while a more urgent job runs, or raise to cancel the generation.
    """

    def never_stop(tokens: torch.Tensor, scores: object, **more: object) -> torch.Tensor:
        pause()
        return torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)

    return never_stop
