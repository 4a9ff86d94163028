"""The slices of one study in one request: SliceSegmenter makes each mask once."""

from collections.abc import Hashable
from dataclasses import dataclass

import torch

from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.kept_masks import Arrays, KeptMasks, crop, prompt_key, uncrop
from zeus_app.prompts.similarity import prototype
from zeus_app.prompts.slice_embeddings import SliceEmbeddings
from zeus_app.prompts.slice_masks import segment_slice
from zeus_app.prompts.types import SlicePrompt
from zeus_app.types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class SliceSegmenter:
    """Segments slices of one study. A mask that is kept is not made again.

    Attributes:
        decoder: on the embeddings' device.
        embeddings: of the study's slices.
        kept: masks of this and of earlier requests.
    """

    decoder: PromptDecoder
    embeddings: SliceEmbeddings
    kept: KeptMasks

    def segment(
        self, s: int, prompt: SlicePrompt, stage: str, *, always: bool = False
    ) -> FloatArray | None:
        """Segment one slice that shows tissue.

        Args:
            s: index of the slice.
            prompt: locates the label.
            stage: reported before any work.
            always: whether the time limit does not count.

        Returns:
            (256, 256) float32 probabilities; None if the slice cannot be encoded in time.
        """
        self.embeddings.report(stage, s, self.embeddings.slice_count)
        key = self._key("mask", s, prompt_key(prompt))
        if (arrays := self._get(key)) is not None:
            return uncrop(arrays)
        of_slice = self.embeddings.of_slice(s) if always else self.embeddings.in_time(s)
        if of_slice is None:
            return None
        probabilities = segment_slice(self.decoder, of_slice, prompt)
        self.kept.put(self.embeddings.stack, key, crop(probabilities))
        return probabilities

    def prototype(self, s: int, mask: BoolArray) -> torch.Tensor:
        """The mean appearance under a mask of a slice, see `similarity.prototype`.

        Args:
            s: index of the slice, which was segmented with this mask as the result.
            mask: (256, 256) bool.

        Returns:
            (M, 256) float32, on the embeddings' device.
        """
        key = self._key("prototype", s, prompt_key(SlicePrompt(initial_mask=mask)))
        if (arrays := self._get(key)) is not None:
            return torch.from_numpy(arrays[0]).to(self.embeddings.device)
        appearance = prototype(self.embeddings.of_slice(s), mask)
        self.kept.put(self.embeddings.stack, key, (appearance.cpu().numpy(),))
        return appearance

    def _get(self, key: Hashable) -> Arrays | None:
        return self.kept.get(self.embeddings.stack, key)

    def _key(self, kind: str, s: int, prompts: Hashable) -> Hashable:
        return kind, s, self.embeddings.sequences_of(s), prompts
