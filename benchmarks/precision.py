"""DSC on real MRI with half precision and with the fast runtime, against float32 in eager PyTorch.

    ZEUS_REAL_DATA=<dir> python -m benchmarks.precision [--slices 40] [abdomen] [brain_tumour] ...

Slices with a label are chosen at random, equally many per study. Each slice is encoded twice.
LiteMedSAM's decoder segments each label from its true box. Results:
benchmarks/results/precision.json and the table in docs/embeddings.md. LiteMedSAM may have been
trained on these public cases, so only the differences count.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.pages import RESULTS, replace_between_marks, table
from zeus_app.encoders.lite_medsam import LiteMedSamEncoder, load_prompt_encoder_and_decoder
from zeus_app.encoders.sample_masks import masks_in_boxes
from zeus_app.errors import InputError
from zeus_app.labels.mask_files import ImportedLabel, find_masks
from zeus_app.labels.pictures import label_pictures
from zeus_app.metrics import dice
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.settings.registry import lookup
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.studies.align import align_for, to_grid
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_study
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import Target, load_target
from zeus_app.types import BoolArray, FloatArray
from zeus_app.weights import locate

PAGE = CHECKOUT / "docs" / "embeddings.md"
SEED = 0
SLICES = 40
# Target -> studies to skip, because a machine drew their labels.
TARGETS: Mapping[str, tuple[str, ...]] = {
    "abdomen": (),
    "brain_tumour": ("TCGA-DU-7294",),
    "ms_lesion": (),
}

Draw = Callable[[FloatArray, FloatArray], BoolArray]


@dataclass(frozen=True, eq=False)
class Sample:
    """One slice of one sequence, (256, 256) in [0, 1], and its labels' masks (K, 256, 256)."""

    picture: FloatArray
    masks: BoolArray

    @property
    def boxes_xyxy_px(self) -> FloatArray:
        """(K, 4) left, top, right and bottom of each mask."""
        boxes = []
        for mask in self.masks:
            rows, columns = np.nonzero(mask)
            boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        return np.array(boxes, np.float32)


def samples(target: Target, folder: Path, *, slices: int) -> Iterator[Sample]:
    """About `slices` samples, spread evenly over the labelled studies."""
    studies = find_studies(folder, target).studies
    labels = [
        label
        for label in find_masks(folder, target)
        if isinstance(label, ImportedLabel) and label.study_id not in TARGETS[target.name]
    ]
    if not labels:
        raise InputError(
            f"no labelled study in {folder}",
            expected=f"the real MRI of {target.name}",
            remedy="set ZEUS_REAL_DATA to the folder above, for example ZEUS_REAL_DATA=../data",
        )
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(labels))[:slices]
    shares = [len(part) for part in np.array_split(np.arange(slices), len(order))]
    for index, share in zip(order, shares, strict=True):
        label = labels[index]
        aligned = align_for(read_study(studies[label.study_id]), target)
        stack = slice_stack(aligned, target.sequence_names)
        values = tuple(target.label_values.values())
        on_grid = to_grid(label.volume, aligned.grid, order=0, fill=0.0)
        masks = label_pictures(on_grid, stack.frame, values) > 0  # (S, K, 256, 256)
        labelled_slices = np.argwhere(stack.tissue & masks.any(axis=(1, 2, 3)))
        for m, s in rng.permutation(labelled_slices)[:share]:
            yield Sample(stack.pixels[m, s], masks[s][masks[s].any(axis=(1, 2))])


def dice_of(sample: Sample, embedding: FloatArray, draw: Draw) -> list[float]:
    """DSC of each label in its true box."""
    masks = draw(embedding, sample.boxes_xyxy_px)
    return [dice(mask, truth) for mask, truth in zip(masks, sample.masks, strict=True)]


def measure(name: str, data: Path, *, slices: int) -> dict[str, Any]:
    """DSC per encoding, over the same slices and boxes."""
    weights = locate("lite-medsam")
    eager, fast = LiteMedSamEncoder(weights, runtime="torch"), LiteMedSamEncoder(weights)
    draw = partial(masks_in_boxes, load_prompt_encoder_and_decoder(weights))
    scores: dict[str, list[float]] = {"float32": [], "half": [], "fast": []}
    picked = list(samples(load_target(name), data, slices=slices))
    for sample in track(picked, name):
        picture = sample.picture[None].astype(np.float32)
        exact = eager.runtime(picture)[0]
        ways = {
            "float32": exact,
            "half": exact.astype(np.float16),
            "fast": fast.encode(picture)[0],  # in half precision, as the cache stores it
        }
        for way, embedding in ways.items():
            scores[way] += dice_of(sample, embedding, draw)
    return {
        "slices": len(picked),
        "masks": len(scores["float32"]),
        "seed": SEED,
        "runtime": fast.runtime.id,
        "dsc": {way: float(np.mean(values)) for way, values in scores.items()},
        "largest_change_of_a_mask": {
            way: float(np.abs(np.subtract(scores[way], scores["float32"])).max())
            for way in ("half", "fast")
        },
    }


def page(results: Mapping[str, Any]) -> str:
    """The table, in Markdown."""
    head = ["target", "masks", "float32", "kept in half", "change", "fast, kept in half", "change"]
    rows = []
    for name, result in results.items():
        exact, half, fast = (result["dsc"][way] for way in ("float32", "half", "fast"))
        row = [name, str(result["masks"]), f"{exact:.4f}"]
        for dsc in (half, fast):
            row += [f"{dsc:.4f}", f"{dsc - exact:+.4f}"]
        rows.append(row)
    ids = ", ".join(sorted({result["runtime"] for result in results.values()}))
    return "\n".join([*table(head, rows), "", f"The fast runtime was {ids}."])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write results and page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all when none")
    parser.add_argument("--slices", type=int, default=SLICES, help="of each target")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    if not os.environ.get("ZEUS_REAL_DATA"):
        console.print("SKIPPED: ZEUS_REAL_DATA names no folder with real MRI", style="yellow")
        return
    path = RESULTS / "precision.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in options.targets or TARGETS:
        lookup("target of this benchmark", name, TARGETS)
        data = Path(os.environ["ZEUS_REAL_DATA"]) / name
        results[name] = measure(name, data, slices=options.slices)
        console.print(f"{name}: {results[name]}")
        write_text_atomically(path, json.dumps(results, indent=1) + "\n")
    replace_between_marks(PAGE, "precision", page(results))


if __name__ == "__main__":
    main()
