"""One slice in several sequences: what their decoder's answers become."""

from collections.abc import Sequence

import torch
from torch import nn

from tests.prompts.test_similarity import painted
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.slice_masks import segment_slice
from zeus_app.prompts.types import BoxPx, SlicePrompt


class ShowsHalves(PromptDecoder):
    """Finds the left half of a box in the first picture, the right half in the second."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, embeddings: torch.Tensor, boxes: Sequence[BoxPx]) -> torch.Tensor:
        logits = torch.full((2, 256, 256), -10.0)
        (left, top, right, bottom), middle = tuple(map(round, boxes[0])), 100
        logits[0, top:bottom, left:middle] = logits[1, top:bottom, middle:right] = 10
        return logits


def test_the_union_holds_what_the_decoder_finds_in_any_sequence() -> None:
    embeddings = torch.stack([painted((10, 20, 18, 30)), painted((10, 20, 18, 30))])
    union = segment_slice(ShowsHalves(), embeddings, SlicePrompt(foreground=((50, 100),)))
    assert union[50, 85] > 0.5
    assert union[50, 115] > 0.5
    assert union[50, 140] < 0.5
