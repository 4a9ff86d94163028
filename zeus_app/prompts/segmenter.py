"""Prompts on a study become a label map: ClickSegmenter."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.errors import InputError
from zeus_app.models.fusion import label_indices
from zeus_app.progress import Report
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.kept_masks import KeptMasks
from zeus_app.prompts.propagation import Propagation, PropagationLimits, take_turns
from zeus_app.prompts.slice_embeddings import SliceEmbeddings
from zeus_app.prompts.slice_segmenter import SliceSegmenter
from zeus_app.prompts.time_limit import Clock, TimeLimit
from zeus_app.prompts.types import SlicePrompt, StudyPrompt, slice_prompts
from zeus_app.studies.slices import to_voxels
from zeus_app.types import FloatArray, LabelArray, SliceFrame, SliceStack

PROMPTED = "prompted slices"
"""Stage of a job while the slices with prompts are segmented."""

_ByLabel = Mapping[int, Mapping[int, SlicePrompt]]
"""Label index k -> slice index -> the label's prompts on that slice."""


@dataclass(frozen=True, eq=False)
class ClickMasks:
    """The answer to prompts.

    Attributes:
        label_map: (X, Y, S) uint8 on the canonical grid: k + 1 of the most probable label, or 0.
            On slices whose only prompt is an initial mask, that mask.
        reached: label index k -> its first and last slice that was segmented. A label without a
            segmented slice is not in it.
        is_complete: whether the time was enough for all slices.
    """

    label_map: LabelArray
    reached: Mapping[int, tuple[int, int]]
    is_complete: bool


class ClickSegmenter:
    """Turns prompts into label maps.

    Args:
        images: the image encoder F_enc with its cache.
        decoder: SAM's own prompt encoder and mask decoder, frozen.
        threshold: probability above which a voxel belongs to a label.
        device: of the decoder.
        kept: masks of earlier requests on the same slices. They stay valid as long as the encoder
            and the decoder are the same. By default none are kept.
        clock: for the time limit.
    """

    def __init__(
        self,
        *,
        images: CachedImageEncoder,
        decoder: PromptDecoder,
        threshold: float,
        device: torch.device,
        kept: KeptMasks | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._images, self._decoder = images, decoder.to(device)
        self._threshold, self._device = threshold, device
        self._kept, self._clock = kept or KeptMasks(limit_bytes=0), clock

    def segment(
        self,
        stack: SliceStack,
        prompts: Mapping[int, StudyPrompt],
        *,
        limits: PropagationLimits,
        report: Report,
    ) -> LabelArray:
        """The label map of `answer`."""
        return self.answer(stack, prompts, limits=limits, report=report).label_map

    def answer(
        self,
        stack: SliceStack,
        prompts: Mapping[int, StudyPrompt],
        *,
        limits: PropagationLimits,
        report: Report,
    ) -> ClickMasks:
        """Segment the prompted slices of every label, then propagate the masks.

        Args:
            stack: the study's slices.
            prompts: label index k -> its prompts, in voxels of the stack's canonical grid.
            limits: slices and sequences to use. The time begins now.
            report: called before every slice; may raise CancelledError.

        Raises:
            InputError: all prompted slices of a label lack tissue.
        """
        limit = TimeLimit(limits.encode_s, self._clock)
        embeddings = SliceEmbeddings(
            self._images, stack, limits.sequences, report, self._device, limit
        )
        slices = SliceSegmenter(self._decoder, embeddings, self._kept)
        by_label: dict[int, dict[int, SlicePrompt]] = {}
        for k, prompt in prompts.items():
            by_slice = slice_prompts(prompt, stack.frame)
            by_label[k] = {s: p for s, p in by_slice.items() if limits.only_slice in (None, s)}
        # All prompted slices come first: during propagation the clicks of others may go first.
        masks, is_complete = _segment_prompted(by_label, slices, limits.first_slice)
        if limits.max_slices:
            is_complete &= _propagate(slices, by_label, masks, max_slices=limits.max_slices)
        label_map = _initial_label_map(prompts, by_label, stack.frame)
        self._write(masks, label_map, stack.frame)
        reached = {k: (min(of_label), max(of_label)) for k, of_label in masks.items() if of_label}
        return ClickMasks(label_map, reached, is_complete)

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


def _segment_prompted(
    by_label: _ByLabel, slices: SliceSegmenter, first_slice: int
) -> tuple[dict[int, dict[int, FloatArray]], bool]:
    """Segment the slices whose prompts locate a label, outwards from `first_slice`.

    The first of them is segmented however long it takes, the others if there is time.

    Returns:
        Label index -> slice index -> (256, 256) float32 probabilities; and whether there was time
        for all slices.

    Raises:
        InputError: all prompted slices of a label lack tissue.
    """
    prompted = {
        k: [s for s, p in prompts.items() if p.locates_label and not p.is_initial_mask_alone]
        for k, prompts in by_label.items()
    }
    order = [(s, k) for k, of_label in prompted.items() for s in _with_tissue(of_label, slices)]
    order.sort(key=lambda item: abs(item[0] - first_slice))
    masks: dict[int, dict[int, FloatArray]] = {k: {} for k in by_label}
    for place, (s, k) in enumerate(order):
        mask = slices.segment(s, by_label[k][s], PROMPTED, always=place == 0)
        if mask is not None:
            masks[k][s] = mask
    return masks, sum(map(len, masks.values())) == len(order)


def _with_tissue(prompted: Sequence[int], slices: SliceSegmenter) -> list[int]:
    """The slices of one label that show tissue. Raises InputError if none of them does."""
    with_tissue = [s for s in prompted if slices.embeddings.sequences_of(s)]
    if prompted and not with_tissue:
        raise InputError(
            f"prompts on slices {', '.join(map(str, sorted(prompted)))} only, which show no tissue",
            expected="a foreground click, a box or a mask on a slice that shows tissue",
            remedy="click into the tissue",
        )
    return with_tissue


def _propagate(
    slices: SliceSegmenter,
    by_label: _ByLabel,
    masks: Mapping[int, dict[int, FloatArray]],
    *,
    max_slices: int,
) -> bool:
    """Add the neighbouring slices to the masks of all labels. False: there was no time for all."""
    propagations = {
        k: Propagation(slices, by_label[k], segmented, max_slices) for k, segmented in masks.items()
    }
    take_turns([walk for propagation in propagations.values() for walk in propagation.walks()])
    for k, propagation in propagations.items():
        masks[k].update(propagation.propagated)
    return all(propagation.is_complete for propagation in propagations.values())


def _initial_label_map(
    prompts: Mapping[int, StudyPrompt], by_label: _ByLabel, frame: SliceFrame
) -> LabelArray:
    """(X, Y, S) uint8: the initial masks on slices where they are the only prompt, else 0."""
    label_map = np.zeros(frame.grid.shape, np.uint8)
    for k, prompt in prompts.items():
        if prompt.initial_mask is not None:
            unchanged = [s for s, p in by_label[k].items() if p.is_initial_mask_alone]
            mask = prompt.initial_mask[..., unchanged]
            label_map[..., unchanged] = np.where(mask, k + 1, label_map[..., unchanged])
    return label_map
