"""Prompts on a study become a label map: ClickSegmenter."""

from collections.abc import Mapping

import numpy as np
import torch

from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.errors import InputError
from zeus_app.models.fusion import label_indices
from zeus_app.progress import Report
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.propagation import PropagationLimits, propagate
from zeus_app.prompts.slice_embeddings import SliceEmbeddings
from zeus_app.prompts.slice_masks import segment_slice
from zeus_app.prompts.types import SlicePrompt, StudyPrompt, slice_prompts
from zeus_app.studies.slices import to_voxels
from zeus_app.types import FloatArray, LabelArray, SliceFrame, SliceStack

PROMPTED = "prompted slices"
"""Stage of a job while the slices with prompts are segmented."""


class ClickSegmenter:
    """Turns prompts into label maps.

    Args:
        images: the image encoder F_enc with its cache.
        decoder: SAM's own prompt encoder and mask decoder, frozen.
        threshold: probability above which a voxel belongs to a label.
        device: of the decoder.
    """

    def __init__(
        self,
        *,
        images: CachedImageEncoder,
        decoder: PromptDecoder,
        threshold: float,
        device: torch.device,
    ) -> None:
        self._images, self._decoder = images, decoder.to(device)
        self._threshold, self._device = threshold, device

    def segment(
        self,
        stack: SliceStack,
        prompts: Mapping[int, StudyPrompt],
        *,
        limits: PropagationLimits,
        report: Report,
    ) -> LabelArray:
        """Segment the prompted slices of every label, then propagate the masks.

        Args:
            stack: the study's slices.
            prompts: label index k -> its prompts, in voxels of the stack's canonical grid.
            limits: slices and sequences to use.
            report: called before every slice; may raise CancelledError.

        Returns:
            (X, Y, S) uint8 on the canonical grid: k + 1 of the most probable label, or 0. On slices
            whose only prompt is an initial mask, that mask.

        Raises:
            InputError: all prompted slices of a label lack tissue.
        """
        embeddings = SliceEmbeddings(self._images, stack, limits.sequences, report, self._device)
        by_label: dict[int, dict[int, SlicePrompt]] = {}
        for k, prompt in prompts.items():
            by_slice = slice_prompts(prompt, stack.frame)
            by_label[k] = {s: p for s, p in by_slice.items() if limits.only_slice in (None, s)}
        # All prompted slices come first: during propagation the clicks of others may go first.
        masks = {k: self._segment_prompted(by_label[k], embeddings) for k in prompts}
        if limits.max_slices:
            for k, segmented in masks.items():
                segmented |= propagate(
                    self._decoder, embeddings, by_label[k], segmented, max_slices=limits.max_slices
                )
        label_map = _initial_label_map(prompts, by_label, stack.frame)
        self._write(masks, label_map, stack.frame)
        return label_map

    def _segment_prompted(
        self, prompts: Mapping[int, SlicePrompt], embeddings: SliceEmbeddings
    ) -> dict[int, FloatArray]:
        """Segment the slices whose prompts locate one label.

        Args:
            prompts: slice index -> the label's prompts.
            embeddings: of the study's slices.

        Returns:
            Slice index -> (256, 256) float32 probabilities.

        Raises:
            InputError: all of these slices lack tissue.
        """
        prompted = {
            s: prompt
            for s, prompt in prompts.items()
            if prompt.locates_label and not prompt.is_initial_mask_alone
        }
        segmented: dict[int, FloatArray] = {}
        for s, prompt in prompted.items():
            of_slice = embeddings.of_slice(s, PROMPTED)
            if len(of_slice):
                segmented[s] = segment_slice(self._decoder, of_slice, prompt)
        if prompted and not segmented:
            raise InputError(
                f"prompts on slices {', '.join(map(str, sorted(prompted)))} only, which show no"
                " tissue",
                expected="a foreground click, a box or a mask on a slice that shows tissue",
                remedy="click into the tissue",
            )
        return segmented

    def _write(
        self,
        masks: Mapping[int, Mapping[int, FloatArray]],
        label_map: LabelArray,
        frame: SliceFrame,
    ) -> None:
        """Write label index -> slice index -> (256, 256) probabilities into a label map."""
        for s in sorted({s for segmented in masks.values() for s in segmented}):
            pictures = np.zeros((1 + max(masks), 1, frame.size, frame.size), np.float32)
            for k, segmented in masks.items():
                if s in segmented:
                    pictures[k, 0] = segmented[s]
            voxels = torch.from_numpy(to_voxels(pictures, frame)[..., 0])  # (K, X, Y)
            labels = label_indices(voxels, threshold=self._threshold).numpy()
            label_map[..., s] = np.where(labels > 0, labels, label_map[..., s])


def _initial_label_map(
    prompts: Mapping[int, StudyPrompt],
    by_label: Mapping[int, Mapping[int, SlicePrompt]],
    frame: SliceFrame,
) -> LabelArray:
    """(X, Y, S) uint8: the initial masks on slices where they are the only prompt, else 0."""
    label_map = np.zeros(frame.grid.shape, np.uint8)
    for k, prompt in prompts.items():
        if prompt.initial_mask is not None:
            unchanged = [s for s, p in by_label[k].items() if p.is_initial_mask_alone]
            mask = prompt.initial_mask[..., unchanged]
            label_map[..., unchanged] = np.where(mask, k + 1, label_map[..., unchanged])
    return label_map
