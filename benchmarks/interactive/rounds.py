"""A round: the simulated user clicks on one scene, and every answer is scored and timed."""

import time
from dataclasses import dataclass

from benchmarks.interactive.methods import ClickMethod
from benchmarks.interactive.scenes import Scene
from zeus_app.metrics import dice
from zeus_app.progress import Report
from zeus_app.prompts.simulation import first_click, next_click, with_click
from zeus_app.prompts.types import StudyPrompt

ENCODING = "encoding"
"""The stage that `CachedImageEncoder` reports while it encodes what the cache lacks."""


@dataclass(frozen=True)
class Round:
    """The answers to the clicks on one scene. A perfect answer ends the round.

    Attributes:
        dsc: DSC after each click.
        seconds: duration of each answer.
        is_cold: whether pictures were encoded for the answer.
    """

    dsc: tuple[float, ...]
    seconds: tuple[float, ...]
    is_cold: tuple[bool, ...]


class EncodingWatch:
    """Notes whether pictures are encoded, and passes every report on."""

    def __init__(self, report: Report) -> None:
        self.has_encoded = False
        self._report = report

    def __call__(self, stage: str, done: int, total: int) -> None:
        """See `Report`."""
        self.has_encoded |= stage == ENCODING
        self._report(stage, done, total)


def play(
    method: ClickMethod, scene: Scene, *, sequences: tuple[str, ...], clicks: int, report: Report
) -> Round:
    """Click on a scene until the answer is perfect or `clicks` were made.

    Args:
        method: the click method.
        scene: what is clicked.
        sequences: names of the sequences that answer; empty: all.
        clicks: the most clicks.
        report: may raise CancelledError.
    """
    prompt, click = StudyPrompt(), first_click(scene.truth, scene.spacing_mm)
    answers: list[tuple[float, float, bool]] = []
    for _ in range(clicks):
        prompt = with_click(prompt, scene.in_volume(click))
        watch, began = EncodingWatch(report), time.perf_counter()
        label_map = method(scene.stack, {0: prompt}, limits=scene.limits(sequences), report=watch)
        seconds = time.perf_counter() - began
        mask = scene.part(label_map == 1)
        answers.append((dice(mask, scene.truth), seconds, watch.has_encoded))
        following = next_click(mask, scene.truth, scene.spacing_mm)
        if following is None:
            break
        click = following
    dsc, durations, is_cold = zip(*answers, strict=True)
    return Round(dsc, durations, is_cold)
