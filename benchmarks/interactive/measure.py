"""The rows of one scene: which methods and sequences answer, measured one after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.interactive.methods import METHODS, Networks, segment_in_true_boxes
from benchmarks.interactive.rounds import play
from benchmarks.interactive.rows import ALL_SEQUENCES, RowKey, Rows
from benchmarks.interactive.scenes import Scene
from zeus_app.metrics import dice
from zeus_app.progress import Report, silent

TRUE_BOXES, POINTS = "true boxes", "points"
"""LiteMedSAM's decoder with the true boxes, and with bare points: measured beside, in 2-D."""
DECIMALS = 4


@dataclass(frozen=True)
class Plan:
    """What is measured on every scene.

    Attributes:
        method: name in `METHODS`.
        clicks: the most clicks.
        seed: of torch, set before the first click of each row.
        again: whether stored rows are measured again.
        code: commit of the code, stored with each row.
    """

    method: str
    clicks: int
    seed: int = 0
    again: bool = False
    code: str = ""


def keys_of(scene: Scene, plan: Plan) -> Iterator[RowKey]:
    """The rows of a scene. All sequences come first: their first click is the cold one."""

    def key(method: str, sequences: str) -> RowKey:
        return RowKey(
            method=method,
            target=scene.target,
            study=scene.study,
            label=scene.label,
            dimensions=scene.dimensions,
            slice_index=scene.slice_index,
            sequences=sequences,
            seed=plan.seed,
        )

    yield key(plan.method, ALL_SEQUENCES)
    if scene.dimensions == 3:
        return
    if len(scene.sequences) > 1:
        yield from (key(plan.method, name) for name in scene.sequences)
    beside = (method for method in (POINTS, TRUE_BOXES) if method != plan.method)
    yield from (key(method, scene.sequences[0]) for method in beside)


def measure_scene(
    networks: Networks, scene: Scene, plan: Plan, rows: Rows, report: Report = silent
) -> None:
    """Measure the rows of a scene that are not stored, and store each.

    The cache of embeddings is emptied first, so that the first answer is a cold one.
    """
    missing = [
        key for key in keys_of(scene, plan) if plan.again or not rows.has(key, clicks=plan.clicks)
    ]
    if missing:
        networks.cache.clear()
    for key in missing:
        torch.manual_seed(plan.seed)
        measured = _measure(networks, scene, key, clicks=plan.clicks, report=report)
        rows.put(key, clicks=plan.clicks, code=plan.code, **measured)


def _measure(
    networks: Networks, scene: Scene, key: RowKey, *, clicks: int, report: Report
) -> dict[str, Any]:
    """DSC and, of clicks, seconds: the fields of a row besides its key."""
    if key.method == TRUE_BOXES:
        assert scene.slice_index is not None, "boxes are measured on slices alone"
        mask = segment_in_true_boxes(
            networks, scene.stack, scene.truth, scene.slice_index, key.sequences
        )
        return {"dsc": [round(dice(mask, scene.truth), DECIMALS)], "seconds": [], "is_cold": []}
    sequences = () if key.sequences == ALL_SEQUENCES else (key.sequences,)
    played = play(
        METHODS[key.method](networks), scene, sequences=sequences, clicks=clicks, report=report
    )
    return {
        "dsc": [round(value, DECIMALS) for value in played.dsc],
        "seconds": [round(value, 3) for value in played.seconds],
        "is_cold": list(played.is_cold),
    }
