"""DSC against the number of clicks on real MRI. A simulated user clicks into the largest error.

    ZEUS_REAL_DATA=<dir> python -m benchmarks.interactive [brain_tumour] [abdomen] ...

No training is involved. For each label, patient and slice, the first click goes to the middle of
the label. Each further click goes to the middle of the largest connected error, up to ten clicks.
The middle is the point furthest from the edge. Compared are each sequence alone, the union of all,
and LiteMedSAM's decoder with bare points, as segment-anything uses it. After `make real`, the union
with the decoder of the automatic training is compared too. Results:
benchmarks/results/interactive.json, the table and the plot in docs/interactive.md.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress, track
from scipy import ndimage

from benchmarks.pages import RESULTS, replace_between_marks, table
from zeus_app.build import build_images
from zeus_app.commands.real.plans import PLANS
from zeus_app.encoders import lite_medsam
from zeus_app.labels.mask_files import ImportedLabel, find_masks
from zeus_app.labels.pictures import label_pictures
from zeus_app.progress import draw_bars
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.slice_masks import segment_slice
from zeus_app.prompts.types import Point, SlicePrompt
from zeus_app.reporting.pictures import save_png
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.state import StateFolder, state_folder
from zeus_app.studies.align import align_for, to_grid
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_study
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import target_of
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.types import BoolArray, FloatArray
from zeus_app.weights import locate

CLICKS = 10
LEAST_PX = 60
"""Smaller labels on a slice are skipped: clicks do not improve a mask of a few pixels."""
SLICES = 3
"""Slices per label and patient, evenly spread over the slices that show the label."""
PATIENTS = 4
SEQUENCES: Mapping[str, str] = {
    "brain_tumour": "FLAIR,T1Gd",
    "abdomen": "T2-SPIR",
    "ms_lesion": "",
}
BARE = "LiteMedSAM, bare points"
UNION = "union"
TRAINED = "union, by the trained decoder"


@dataclass(frozen=True, eq=False)
class Scene:
    """One label on one slice: (M, 256, 64, 64) embeddings and the (256, 256) truth.

    `below` is the truth of the slice below, empty on the lowest one.
    """

    target: str
    label: str
    sequences: tuple[str, ...]
    embeddings: torch.Tensor
    truth: BoolArray
    below: BoolArray


Answer = Callable[[torch.Tensor, SlicePrompt], FloatArray]
"""(M, 256, 64, 64) embeddings and clicks -> (256, 256) probabilities."""


def settings(name: str, folder: Path) -> tuple[ZeusConfig, StateFolder]:
    """The settings of `make real`, to use its embeddings and checkpoints."""
    state = CHECKOUT / "reports" / "real" / name / "state"
    config = ZeusConfig(target=name, sequences=SEQUENCES[name], state=state, decoder="sam")
    return config, state_folder(config, target=name, studies=folder)


def scenes(name: str, folder: Path) -> Iterator[Scene]:
    """The same slices every time; nothing is random."""
    config, state = settings(name, folder)
    target = target_of(config)
    images = build_images(config, state)
    studies = find_studies(folder, target).studies
    labels = [
        imported
        for imported in find_masks(folder, target)
        if isinstance(imported, ImportedLabel) and imported.study_id not in PLANS[name].smoke
    ]
    for imported in labels[:PATIENTS]:
        aligned = align_for(read_study(studies[imported.study_id]), target)
        stack = slice_stack(aligned, target.sequence_names)
        on_grid = to_grid(imported.volume, aligned.grid, order=0, fill=0.0)
        values = tuple(target.label_values.values())
        masks = label_pictures(on_grid, stack.frame, values) > 0  # (S, K, 256, 256)
        present = [m for m, q in enumerate(target.sequence_names) if q in aligned.volumes]
        names = tuple(target.sequence_names[m] for m in present)
        for k, label in enumerate(target.labels):
            candidates = np.flatnonzero(masks[:, k].sum(axis=(1, 2)) >= LEAST_PX)
            slices = candidates[
                np.linspace(0, len(candidates) - 1, min(SLICES, len(candidates)))
                .round()
                .astype(int)
            ]
            for s in slices:
                pictures = [stack.pixels[m, s] for m in present]
                with Progress(transient=True) as progress:
                    keys = images.encode_missing(pictures, report=draw_bars(progress))
                cached = [
                    images.get(key, picture) for key, picture in zip(keys, pictures, strict=True)
                ]
                embeddings = torch.from_numpy(np.stack(cached))
                below = masks[s - 1, k] if s else np.zeros_like(masks[s, k])
                yield Scene(name, label.name, names, embeddings, masks[s, k], below)


def middle(mask: BoolArray) -> Point:
    """The pixel furthest from the edge of the mask; the first of several such pixels."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(inside.argmax()), inside.shape)
    return float(row), float(col)


def largest(mask: BoolArray) -> BoolArray:
    """The largest connected part."""
    parts, count = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, parts, range(1, count + 1))
    part: BoolArray = parts == 1 + int(np.argmax(sizes))
    return part


def next_click(prompt: SlicePrompt, mask: BoolArray, truth: BoolArray) -> SlicePrompt:
    """Add a click in the middle of the largest error."""
    missed, extra = truth & ~mask, mask & ~truth
    worst = [largest(error) if error.any() else error for error in (missed, extra)]
    if worst[0].sum() >= worst[1].sum():
        return replace(prompt, foreground=(*prompt.foreground, middle(worst[0])))
    return replace(prompt, background=(*prompt.background, middle(worst[1])))


def dsc_by_clicks(answer: Answer, embeddings: torch.Tensor, truth: BoolArray) -> list[float]:
    """DSC after each of ten clicks. A perfect mask gets no further clicks."""
    prompt = SlicePrompt(foreground=(middle(truth),))
    scores: list[float] = []
    for _ in range(CLICKS):
        mask = answer(embeddings, prompt) > 0.5
        dsc = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        scores.append(round(float(dsc), 3))
        if scores[-1] == 1:
            return scores + [1.0] * (CLICKS - len(scores))
        prompt = next_click(prompt, mask, truth)
    return scores


@torch.inference_mode()
def bare_points(
    decoder: PromptDecoder, embeddings: torch.Tensor, prompt: SlicePrompt
) -> FloatArray:
    """Segment the first sequence with segment-anything's own modules and the points alone."""
    points = [(col + 0.5, row + 0.5) for row, col in (*prompt.foreground, *prompt.background)]
    on = [1] * len(prompt.foreground) + [0] * len(prompt.background)
    sparse, dense = decoder.prompts(
        points=(torch.tensor([points]), torch.tensor([on])), boxes=None, masks=None
    )
    logits, _ = decoder.decoder(
        image_embeddings=embeddings[:1].float(),
        image_pe=decoder.prompts.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    probabilities: FloatArray = torch.sigmoid(logits[0, 0]).numpy()
    return probabilities


def stock_decoder() -> PromptDecoder:
    """The decoder of LiteMedSAM."""
    return PromptDecoder(*lite_medsam.load_prompt_encoder_and_decoder(locate("lite-medsam")))


def trained_decoder(name: str, folder: Path) -> PromptDecoder | None:
    """The decoder of the newest training, or None without one."""
    versions = sorted(settings(name, folder)[1].checkpoints.glob("v*.pt"))
    if not versions:
        return None
    state = Checkpoints.read(versions[-1])

    def part(of: str) -> dict[str, torch.Tensor]:
        start = f"decoders.0.{of}."
        return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}

    decoder = stock_decoder()
    decoder.decoder.transformer.load_state_dict(part("transformer"))
    decoder.upscaling.load_state_dict(part("upscaling"))
    decoder.decoder.output_hypernetworks_mlps[0].load_state_dict(part("hypernetwork"))
    decoder.decoder.mask_tokens.weight[0] = state["decoders.0.mask_token"]
    return decoder


def answers(
    scene: Scene, stock: PromptDecoder, trained: PromptDecoder | None
) -> dict[str, list[float]]:
    """Method -> DSC after each click, on one scene."""
    embeddings, truth = scene.embeddings, scene.truth
    dsc = {BARE: dsc_by_clicks(partial(bare_points, stock), embeddings, truth)}
    for m, sequence in enumerate(scene.sequences):
        dsc[sequence] = dsc_by_clicks(partial(segment_slice, stock), embeddings[m : m + 1], truth)
    if len(scene.sequences) > 1:
        dsc[UNION] = dsc_by_clicks(partial(segment_slice, stock), embeddings, truth)
    if trained is not None:
        dsc[TRAINED] = dsc_by_clicks(partial(segment_slice, trained), embeddings, truth)
    return dsc


def measure(name: str, folder: Path) -> dict[str, list[list[float]]]:
    """Method -> one list of ten DSC for each scene."""
    stock, trained = stock_decoder(), trained_decoder(name, folder)
    dsc_by_method: dict[str, list[list[float]]] = {}
    for scene in track(list(scenes(name, folder)), description=name):
        for method, scores in answers(scene, stock, trained).items():
            dsc_by_method.setdefault(method, []).append(scores)
    return dsc_by_method


def plot(results: Mapping[str, Any]) -> Figure:
    """One panel a target: mean DSC against clicks."""
    figure = Figure(figsize=(3.2 * len(results), 4.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(results), sharey=True))
    for axis, (name, methods) in zip(axes, results.items(), strict=True):
        for method, scores in methods.items():
            style = {BARE: "--", TRAINED: ":"}.get(method, "-")
            width = 2.2 if method == UNION else 1.2
            axis.plot(range(1, CLICKS + 1), np.mean(scores, axis=0), style, lw=width, label=method)
        axis.set(title=name, xlabel="clicks", ylim=(0, 1))
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    axes[0].set_ylabel("mean DSC on a slice")
    return figure


def page(results: Mapping[str, Any]) -> str:
    """The table, in Markdown, and the plot."""
    rows = [
        [
            name,
            method,
            str(len(scores)),
            *(f"{np.mean(scores, axis=0)[n - 1]:.3f}" for n in (1, 2, 3, 5, 10)),
        ]
        for name, methods in results.items()
        for method, scores in methods.items()
    ]
    head = ["target", "shown", "slices", "1 click", "2", "3", "5", "10"]
    return "\n".join([*table(head, rows), "", "![DSC against clicks](images/interactive.png)"])


def main(names: Sequence[str]) -> None:
    """Measure, and write results, plot and page."""
    if not os.environ.get("ZEUS_REAL_DATA"):
        Console().print("SKIPPED: ZEUS_REAL_DATA names no folder with real MRI", style="yellow")
        return
    path = RESULTS / "interactive.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in names or SEQUENCES:
        results[name] = measure(name, Path(os.environ["ZEUS_REAL_DATA"]) / name)
        write_text_atomically(path, json.dumps(results) + "\n")
    docs = CHECKOUT / "docs"
    save_png(plot(results), docs / "images" / "interactive.png")
    replace_between_marks(docs / "interactive.md", "clicks", page(results))


if __name__ == "__main__":
    main(sys.argv[1:])
