"""DSC on real MRI with instructions, with a fixed text, with wrong instructions, and with none.

    ZEUS_REAL_DATA=<dir> python -m benchmarks.instructions [abdomen] [brain_tumour]

For each target, four models train on the same patients for the same time. They differ only in the
vectors that the aligner f_tt gets. The model trained with instructions is also evaluated with the
vectors of the other three. Results: benchmarks/results/instructions.json and the table in
docs/instructions.md.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks.pages import RESULTS, replace_between_marks, table
from zeus_app.bench.labelled_studies import labelled_studies
from zeus_app.build import build_segmenter
from zeus_app.commands.real.plans import PLANS
from zeus_app.pipeline.plugins import learner_of
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.pipeline.zeus import PreparedStudy
from zeus_app.progress import draw_bars
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.recipes import with_recipe
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.state import state_folder
from zeus_app.training.cases import Case, TrainingCases
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.evaluator import Evaluator
from zeus_app.training.loop import Trainer
from zeus_app.training.preparation import prepare_cases
from zeus_app.types import FloatArray, Guidance, LabelledStudy

Cases = Mapping[str, Case]

PAGE = CHECKOUT / "docs" / "instructions.md"
SEED = 0
SLICES_AT_ONCE = 4


@dataclass(frozen=True)
class Question:
    """One target's measurement.

    Attributes:
        judged: in each fold, the held-out studies.
        train_s: wall-clock training time of each model.
    """

    judged: tuple[tuple[str, ...], ...]
    train_s: float


QUESTIONS: Mapping[str, Question] = {
    "abdomen": Question(PLANS["abdomen"].folds[:1], train_s=180),
    "brain_tumour": Question(PLANS["brain_tumour"].folds[1:3], train_s=90),
}


def with_texts(cases: Cases, change: Callable[[FloatArray], FloatArray]) -> dict[str, Case]:
    """The same cases with other text vectors, (S or 1, M, K, D) each."""
    changed = {}
    for name, case in cases.items():
        prepared = cast(PreparedStudy, case.prepared)
        prompts = {**prepared.prompts, "texts": change(prepared.prompts["texts"])}
        changed[name] = replace(case, prepared=replace(prepared, prompts=prompts))
    return changed


def shuffled(cases: Cases) -> dict[str, Case]:
    """The instructions, assigned to random labels, sequences and studies."""
    texts = [cast(PreparedStudy, case.prepared).prompts["texts"] for case in cases.values()]
    pool = np.concatenate([rows.reshape(-1, rows.shape[-1]) for rows in texts])
    pool = pool[pool.any(axis=1)]
    rng = np.random.default_rng(SEED)
    return with_texts(cases, lambda rows: pool[rng.integers(len(pool), size=rows.shape[:-1])])


def cases_by_way(segmenter: Segmenter, studies: Sequence[LabelledStudy]) -> dict[str, Cases]:
    """The studies, prepared with each kind of instruction."""

    def prepared(guidance: Guidance) -> Cases:
        guided = [replace(study, guidance=guidance) for study in studies]
        with Progress() as progress:
            return prepare_cases(segmenter.training, guided, report=draw_bars(progress))[0]

    texts = prepared(Guidance(scope="series"))
    return {
        "instruction": texts,
        "fixed text": prepared(Guidance(scope="none")),
        "shuffled": shuffled(texts),
        "none": with_texts(texts, np.zeros_like),
    }


def train(segmenter: Segmenter, cases: Cases, held_out: Sequence[str], seconds: float) -> None:
    """Calibrate the model and train it on the studies that are not held out."""
    training_cases = [case for name, case in cases.items() if name not in held_out]
    segmenter.model.calibrate([case.prepared for case in training_cases])
    own = {"validation_fraction": 0, "seed": SEED, "time_budget_s": seconds}
    config = with_recipe(own, learner_of(segmenter.config))
    with tempfile.TemporaryDirectory() as scratch, Progress() as progress:
        bar = progress.add_task("training", total=seconds)
        Trainer(
            replace(segmenter.training, checkpoints=Checkpoints(Path(scratch))),
            TrainingCases(training_cases),
            config,
            progress=lambda epoch, _done, _total: progress.update(bar, completed=epoch.seconds),
        ).fit()


def held_out_dsc(segmenter: Segmenter, cases: Cases, held_out: Sequence[str]) -> list[float]:
    """DSC of each held-out study."""
    segmenter.model.trainable.eval()
    evaluator = Evaluator(segmenter.training, SLICES_AT_ONCE)
    return [evaluator.volume_dsc(cases[name]) for name in held_out]


def measure(name: str, data: Path, console: Console) -> list[dict[str, Any]]:
    """Rows, per pair of training and evaluation: {"learnt", "asked", "dsc": per held-out study}."""
    question, plan = QUESTIONS[name], PLANS[name]
    state = CHECKOUT / "reports" / "real" / name / "state"  # shares the embeddings of `make real`
    config = ZeusConfig(target=name, sequences=plan.sequences, state=state, decoder="sam")
    segmenter = build_segmenter(config, state_folder(config, target=name, studies=data))
    studies = labelled_studies(data, segmenter.target, skip=plan.smoke)
    ways = cases_by_way(segmenter, studies)
    net = segmenter.model.trainable
    beginning = {key: value.clone() for key, value in net.state_dict().items()}
    dsc_by_pair: dict[tuple[str, str], list[float]] = {}
    for held_out in question.judged:
        for train_way, cases in ways.items():
            net.load_state_dict(beginning)
            train(segmenter, cases, held_out, question.train_s)
            for test_way in ways if train_way == "instruction" else (train_way,):
                scores = held_out_dsc(segmenter, ways[test_way], held_out)
                dsc_by_pair.setdefault((train_way, test_way), []).extend(scores)
                console.print(f"{name}: learnt with {train_way}, asked with {test_way}: {scores}")
    return [
        {"learnt": train_way, "asked": test_way, "dsc": scores}
        for (train_way, test_way), scores in dsc_by_pair.items()
    ]


def page(results: Mapping[str, Any]) -> str:
    """The tables, in Markdown."""
    parts = []
    for name, result in results.items():
        rows = [
            [row["learnt"], row["asked"], f"{np.mean(row['dsc']):.3f}", f"{np.min(row['dsc']):.3f}"]
            for row in result["rows"]
        ]
        parts += [
            f"**{name}**: {len(result['rows'][0]['dsc'])} studies judged, {result['train_s']:g} s"
            " of training for each model and fold, mean DSC per volume at 256 px.",
            "",
            *table(["learnt with", "asked with", "mean DSC", "worst DSC"], rows),
            "",
        ]
    return "\n".join(parts)


def main(names: Sequence[str]) -> None:
    """Measure, and write results and page."""
    console = Console(highlight=False)
    if not os.environ.get("ZEUS_REAL_DATA"):
        console.print("SKIPPED: ZEUS_REAL_DATA names no folder with real MRI", style="yellow")
        return
    path = RESULTS / "instructions.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in names or QUESTIONS:
        rows = measure(name, Path(os.environ["ZEUS_REAL_DATA"]) / name, console)
        results[name] = {"train_s": QUESTIONS[name].train_s, "seed": SEED, "rows": rows}
        write_text_atomically(path, json.dumps(results, indent=1) + "\n")
    replace_between_marks(PAGE, "worth", page(results))


if __name__ == "__main__":
    main(sys.argv[1:])
