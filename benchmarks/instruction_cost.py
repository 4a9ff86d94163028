"""Seconds of a training step: instructions as cached texts, or as the last layer of the LLM.

    python -m benchmarks.instruction_cost

One step is a forward and a backward pass of all trainable parts for a batch of slices. With `scope:
all`, the LLM sees the picture of each slice. Studies are the sample studies, the profile is
`reference-small`. Results: benchmarks/results/instruction_cost.json and the table in
docs/instructions.md.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from rich.console import Console

from benchmarks.pages import RESULTS, replace_between_marks, table
from zeus_app.build import build_segmenter
from zeus_app.devices import autocast
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.progress import silent
from zeus_app.protocols import Batch
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.state import state_folder
from zeus_app.studies.align import align_for
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_study
from zeus_app.studies.slices import slice_stack
from zeus_app.training.losses import UnionLoss
from zeus_app.types import Guidance

STUDIES = CHECKOUT / "sample_data" / "phantoms" / "studies"
BATCH = 4
STEPS = 5

WAYS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "text, kept": ("text", {}),
    "last layer, float32": ("embedding", {"precision": "float32"}),
    "last layer, bfloat16": ("embedding", {"precision": "bfloat16"}),
    "last layer, bfloat16, question first": (
        "embedding",
        {"precision": "bfloat16", "question_first": True},
    ),
}
"""Name -> (mode, changed settings of the profile's LLM)."""


def build(mode: str, llm: Mapping[str, object], scratch: Path) -> Segmenter:
    """reference-small with other LLM settings. All variants share embeddings and texts."""
    profile = scratch / "profile.yaml"
    profile.write_text(yaml.safe_dump({"extends": "reference-small", "llm": dict(llm)}))
    config = ZeusConfig.model_validate(
        {"instruction": mode, "decoder": "sam", "profile": str(profile), "state": scratch / "state"}
    )
    return build_segmenter(config, state_folder(config, target="phantom", studies=STUDIES))


def a_batch(segmenter: Segmenter) -> Batch:
    """The middle slices of the first sample study."""
    study = next(iter(find_studies(STUDIES, segmenter.target).studies.values()))
    aligned = align_for(read_study(study), segmenter.target)
    stack = slice_stack(aligned, segmenter.target.sequence_names)
    scope = "" if segmenter.config.instruction == "text" else "all"
    prepared = segmenter.model.prepare(
        stack, guidance=Guidance(scope=scope), report=silent, keep_pixels=False
    )
    middle = len(prepared.present) // 2
    return prepared.batch(range(middle - BATCH // 2, middle + BATCH // 2))


def seconds_a_step(segmenter: Segmenter, batch: Batch) -> float:
    """Median seconds of a step, after one step to warm up."""
    labels = len(segmenter.target.labels)
    masks = torch.zeros(BATCH, labels, 256, 256)
    masks[..., 96:160, 96:160] = 1
    loss = UnionLoss(sequence_weight=0.1)
    segmenter.model.trainable.train()
    durations = []
    for _ in range(STEPS + 1):
        began = time.perf_counter()
        with autocast(segmenter.device):
            decoded = segmenter.model.decode(batch)
        torch.autograd.backward(loss(decoded, batch["present"], masks)[0])
        durations.append(time.perf_counter() - began)
    return statistics.median(durations[1:])


def main() -> None:
    """Measure, and write results and page."""
    console = Console(highlight=False)
    seconds_by_way: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (mode, llm) in WAYS.items():
            segmenter = build(mode, llm, Path(scratch))
            seconds_by_way[name] = seconds_a_step(segmenter, a_batch(segmenter))
            console.print(f"{name}: {seconds_by_way[name]:.2f} s a step")
    text = seconds_by_way["text, kept"]
    results = {
        "batch_slices": BATCH,
        "steps": STEPS,
        "threads": torch.get_num_threads(),
        "seconds": seconds_by_way,
        "over_text": {name: seconds / text for name, seconds in seconds_by_way.items()},
    }
    write_text_atomically(RESULTS / "instruction_cost.json", json.dumps(results, indent=1) + "\n")
    rows = [
        [name, f"{seconds:.2f}", f"{seconds / text:.2f}"]
        for name, seconds in seconds_by_way.items()
    ]
    lines = table(["instruction", "seconds a step", "over text"], rows)
    replace_between_marks(CHECKOUT / "docs" / "instructions.md", "cost", "\n".join(lines))


if __name__ == "__main__":
    main()
