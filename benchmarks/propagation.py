"""Propagation of a mask to the next slice, on real MRI: DSC of four methods.

    ZEUS_REAL_DATA=<dir> python -m benchmarks.propagation [brain_tumour] [abdomen] ...

The slices are those of `benchmarks.interactive` whose lower neighbour also shows the label. The
embeddings are those of `make real`. The prompt is the true mask of the neighbour. Compared are
SAM's mask prompt alone, the mask prompt with its box, the box alone, and the method of Zeus: a box
for each part of the mask, accepted near the mask. Each method unites the sequences. Results:
benchmarks/results/propagation.json and the table in docs/interactive.md.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from benchmarks.interactive.scenes import Scene, real_studies, slices_of, volumes_of
from benchmarks.pages import RESULTS, replace_between_marks, table
from zeus_app.build import build_images, sam_parts
from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.labels.pictures import label_pictures
from zeus_app.metrics import dice
from zeus_app.profiles import load_profile
from zeus_app.progress import silent
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.similarity import part_boxes
from zeus_app.prompts.slice_masks import segment_slice
from zeus_app.prompts.types import SlicePrompt
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.state import state_folder
from zeus_app.targets import load_target
from zeus_app.types import BoolArray, FloatArray, Volume

TARGETS = ("brain_tumour", "abdomen", "ms_lesion")
PATIENTS = 4
SURE = 10.0
"""Logit of the pixels of a mask prompt. SAM's own logits inside an object are about as high."""

Carry = Callable[[PromptDecoder, torch.Tensor, BoolArray], FloatArray]
"""(decoder, (M, 256, 64, 64) embeddings, the neighbour's mask) -> (256, 256) probabilities."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A slice in M sequences, and the true masks of a label on it and on the slice below.

    Attributes:
        embeddings: (M, 256, 64, 64).
        truth, below: (256, 256) bool.
    """

    embeddings: torch.Tensor
    truth: BoolArray
    below: BoolArray


def pairs(name: str, folder: Path) -> Iterator[Pair]:
    """The slices of a target whose lower neighbour also shows the label."""
    target = load_target(name)
    state = CHECKOUT / "reports" / "real" / name / "state"
    config = ZeusConfig(target=name, state=state, decoder="sam")
    images = build_images(config, state_folder(config, target=name, studies=folder))
    for study in real_studies(folder, target, PATIENTS):
        for volume in volumes_of(study, target):
            masks = pictures_of(volume)
            for scene in slices_of(volume):
                s = scene.slice_index
                if s and masks[s - 1].any():
                    yield Pair(embeddings_of(images, scene, s), masks[s], masks[s - 1])


def pictures_of(scene: Scene) -> BoolArray:
    """(S, 256, 256) bool: the true mask on every slice."""
    frame = scene.stack.frame
    label_map = Volume(scene.volume.astype(np.uint8), frame.grid.affine_ras)
    masks: BoolArray = label_pictures(label_map, frame, (1,))[:, 0] > 0
    return masks


def embeddings_of(images: CachedImageEncoder, scene: Scene, s: int) -> torch.Tensor:
    """(M, 256, 64, 64): a slice in the sequences that show tissue."""
    rows = [scene.stack.sequences.index(name) for name in scene.sequences]
    pictures = [scene.stack.pixels[m, s] for m in rows]
    keys = images.encode_missing(pictures, report=silent)
    cached = [images.get(key, picture) for key, picture in zip(keys, pictures, strict=True)]
    return torch.from_numpy(np.stack(cached))


@torch.inference_mode()
def prompted(
    decoder: PromptDecoder,
    embeddings: torch.Tensor,
    mask_below: BoolArray,
    *,
    mask: bool,
    box: bool,
) -> FloatArray:
    """Segment with segment-anything's own modules; the prompt is the mask, its box, or both."""
    logits = SURE * (2 * torch.from_numpy(mask_below.astype(np.float32)) - 1)
    boxes = part_boxes(mask_below)
    outer_box = [*np.min(boxes, axis=0)[:2], *np.max(boxes, axis=0)[2:]]
    sparse, dense = decoder.prompts(
        points=None,
        boxes=decoder.scale * torch.tensor([outer_box], dtype=torch.float32) if box else None,
        masks=logits[None, None] if mask else None,
    )
    logits_by_sequence = [
        decoder.decoder(
            image_embeddings=embedding[None].float(),
            image_pe=decoder.prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )[0][0, 0]
        for embedding in embeddings
    ]
    union: FloatArray = torch.sigmoid(torch.stack(logits_by_sequence)).amax(dim=0).numpy()
    return union


def part_by_part(decoder: PromptDecoder, embeddings: torch.Tensor, before: BoolArray) -> FloatArray:
    """Segment with the method of Zeus."""
    return segment_slice(decoder, embeddings, SlicePrompt(initial_mask=before))


WAYS: Mapping[str, Carry] = {
    "mask prompt": partial(prompted, mask=True, box=False),
    "mask prompt and box": partial(prompted, mask=True, box=True),
    "box": partial(prompted, mask=False, box=True),
    "Zeus": part_by_part,
}


def measure(slices: Sequence[Pair], decoder: PromptDecoder, name: str) -> dict[str, list[float]]:
    """Method -> DSC of each slice."""
    scores: dict[str, list[float]] = {
        method: [] for method in [*WAYS, "the neighbour's mask itself"]
    }
    for pair in track(slices, description=name):
        for method, propagate in WAYS.items():
            answer = propagate(decoder, pair.embeddings, pair.below) > 0.5
            scores[method].append(round(dice(answer, pair.truth), 3))
        scores["the neighbour's mask itself"].append(round(dice(pair.below, pair.truth), 3))
    return scores


def page(results: Mapping[str, Any]) -> str:
    """The table, in Markdown."""
    methods = list(next(iter(results.values())))
    rows = [
        [
            name,
            str(len(scores[methods[0]])),
            *(f"{np.mean(scores[method]):.3f}" for method in methods),
        ]
        for name, scores in results.items()
    ]
    return "\n".join(table(["target", "slices", *methods], rows))


def main(names: Sequence[str]) -> None:
    """Measure, and write results and page."""
    if not os.environ.get("ZEUS_REAL_DATA"):
        Console().print("SKIPPED: ZEUS_REAL_DATA names no folder with real MRI", style="yellow")
        return
    path = RESULTS / "propagation.json"
    decoder = PromptDecoder(*sam_parts(load_profile(ZeusConfig().profile)))
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in names or TARGETS:
        with_neighbour = list(pairs(name, Path(os.environ["ZEUS_REAL_DATA"]) / name))
        if not with_neighbour:
            continue
        results[name] = measure(with_neighbour, decoder, name)
        write_text_atomically(path, json.dumps(results) + "\n")
    replace_between_marks(CHECKOUT / "docs" / "interactive.md", "propagation", page(results))


if __name__ == "__main__":
    main(sys.argv[1:])
