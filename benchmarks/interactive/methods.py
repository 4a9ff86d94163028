"""The click methods that are compared: functions from a study and its prompts to a label map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from zeus_app.build import build_images, sam_parts
from zeus_app.devices import choose_device
from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.profiles import load_profile
from zeus_app.progress import Report, silent
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.propagation import PropagationLimits
from zeus_app.prompts.segmenter import ClickSegmenter
from zeus_app.prompts.similarity import part_boxes
from zeus_app.prompts.types import Point, SlicePrompt, StudyPrompt, Voxel
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.cache import Cache
from zeus_app.storage.state import state_folder
from zeus_app.studies.slices import to_pictures, to_pixels, to_voxels
from zeus_app.types import PICTURE_PX, BoolArray, FloatArray, LabelArray, SliceFrame, SliceStack


class ClickMethod(Protocol):
    """A click method, called as `ClickSegmenter.segment` is."""

    def __call__(
        self,
        stack: SliceStack,
        prompts: Mapping[int, StudyPrompt],
        *,
        limits: PropagationLimits,
        report: Report,
    ) -> LabelArray:
        """Segment the labels that have prompts.

        Args:
            stack: the study's slices.
            prompts: label index k -> its prompts, in voxels of the stack's canonical grid.
            limits: slices and sequences to use.
            report: called before work; with the stage "encoding" before pictures are encoded.

        Returns:
            (X, Y, S) uint8 on the canonical grid: k + 1, or 0.
        """


@dataclass(frozen=True, eq=False)
class Networks:
    """What click methods are built from.

    Attributes:
        images: the image encoder with a cache on disk, as a server has it.
        cache: this cache.
        decoder: SAM's own prompt encoder and mask decoder, frozen.
        threshold: probability above which a voxel belongs to a label.
        device: of the decoder.
    """

    images: CachedImageEncoder
    cache: Cache
    decoder: PromptDecoder
    threshold: float
    device: torch.device


def open_networks(folder: Path) -> Networks:
    """Load the networks of the default profile; keep embeddings in a folder."""
    config = ZeusConfig(state=folder)
    state = state_folder(config, target="interactive", studies=folder)
    images, device = build_images(config, state), choose_device(config.device)
    images.encode_missing([np.zeros((PICTURE_PX, PICTURE_PX), np.float32)], report=silent)
    decoder = PromptDecoder(*sam_parts(load_profile(config.profile))).to(device)
    return Networks(images, Cache(state.cache), decoder, config.threshold, device)


def clicks(networks: Networks) -> ClickMethod:
    """The clicks of Zeus."""
    return ClickSegmenter(
        images=networks.images,
        decoder=networks.decoder,
        threshold=networks.threshold,
        device=networks.device,
    ).segment


class BarePoints:
    """LiteMedSAM's decoder with points alone, as segment-anything uses it, on one sequence.

    The first sequence that shows tissue answers. Masks are not propagated.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def __call__(
        self,
        stack: SliceStack,
        prompts: Mapping[int, StudyPrompt],
        *,
        limits: PropagationLimits,
        report: Report,
    ) -> LabelArray:
        """Segment the prompted slices; see `ClickMethod`."""
        label_map = np.zeros(stack.frame.grid.shape, np.uint8)
        for k, prompt in prompts.items():
            for s, points in every_point(prompt, stack.frame).items():
                asked = limits.sequences or stack.sequences
                names = [name for name in shown_on(stack, s) if name in asked]
                if names and points.foreground and limits.only_slice in (None, s):
                    embedding = embed(self._networks, stack, s, names[0], report=report)
                    probabilities = decode_points(self._networks.decoder, embedding, points)
                    label_map[..., s][to_slice(probabilities, stack.frame)] = k + 1
        return label_map


METHODS: Mapping[str, Callable[[Networks], ClickMethod]] = {"clicks": clicks, "points": BarePoints}
"""Name on the command line -> builds the method. Add another click method here."""


def every_point(prompt: StudyPrompt, frame: SliceFrame) -> dict[int, SlicePrompt]:
    """Slice index -> its clicks in pixels. A click that was repeated is there as often.

    Zeus counts equal clicks once. SAM's decoder answers more strongly to a repeated one.
    """
    foreground = _pixels_by_slice(prompt.foreground, frame)
    background = _pixels_by_slice(prompt.background, frame)
    return {
        s: SlicePrompt(tuple(foreground.get(s, ())), tuple(background.get(s, ())))
        for s in sorted({*foreground, *background})
    }


def _pixels_by_slice(voxels: tuple[Voxel, ...], frame: SliceFrame) -> dict[int, list[Point]]:
    points: dict[int, list[Point]] = {}
    for s, row, col in to_pixels(np.array(voxels, np.float64).reshape(-1, 3), frame).tolist():
        points.setdefault(round(s), []).append((row, col))
    return points


@torch.inference_mode()
def decode_points(
    decoder: PromptDecoder, embedding: torch.Tensor, prompt: SlicePrompt
) -> FloatArray:
    """(1, 256, 64, 64) and points -> (256, 256) probabilities, by segment-anything's modules."""
    points = [(col + 0.5, row + 0.5) for row, col in (*prompt.foreground, *prompt.background)]
    on = [1] * len(prompt.foreground) + [0] * len(prompt.background)
    device = embedding.device
    coordinates = torch.tensor([points], dtype=torch.float32, device=device) * decoder.scale
    sparse, dense = decoder.prompts(
        points=(coordinates, torch.tensor([on], device=device)), boxes=None, masks=None
    )
    logits, _ = decoder.decoder(
        image_embeddings=embedding.float(),
        image_pe=decoder.prompts.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    probabilities: FloatArray = torch.sigmoid(logits[0, 0]).cpu().numpy()
    return probabilities


def segment_in_true_boxes(
    networks: Networks, stack: SliceStack, truth: BoolArray, s: int, sequence: str
) -> BoolArray:
    """LiteMedSAM's answer to the true box of each part of a label on one slice.

    Args:
        networks: encoder and decoder.
        stack: the study's slices.
        truth: (X, Y) bool, the label on the slice.
        s: index of the slice.
        sequence: name of the sequence that answers.

    Returns:
        (X, Y) bool, the union over the boxes.
    """
    picture = to_pictures(truth[..., None], stack.frame, nearest=True)[0].astype(np.bool_)
    boxes = part_boxes(picture)
    embedding = embed(networks, stack, s, sequence, report=silent)
    logits = networks.decoder(embedding.repeat(len(boxes), 1, 1, 1), boxes)
    return to_slice(torch.sigmoid(logits).amax(dim=0).cpu().numpy(), stack.frame)


def shown_on(stack: SliceStack, s: int) -> list[str]:
    """Names of the sequences that show tissue on a slice."""
    return [name for m, name in enumerate(stack.sequences) if stack.tissue[m, s]]


def embed(
    networks: Networks, stack: SliceStack, s: int, sequence: str, *, report: Report
) -> torch.Tensor:
    """(1, 256, 64, 64): the embedding of one sequence on a slice, from the cache or encoded now."""
    picture = stack.pixels[stack.sequences.index(sequence), s]
    (key,) = networks.images.encode_missing([picture], report=report)
    embedding = torch.from_numpy(networks.images.get(key, picture)[None])
    return embedding.to(networks.device)


def to_slice(probabilities: FloatArray, frame: SliceFrame) -> BoolArray:
    """(256, 256) probabilities of a picture -> (X, Y) bool mask of its slice."""
    mask: BoolArray = to_voxels(probabilities[None], frame)[..., 0] > 0.5
    return mask
