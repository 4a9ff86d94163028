"""The methods beside the clicks of Zeus: how they are asked. No network is loaded."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from benchmarks.interactive.methods import (
    METHODS,
    Networks,
    every_point,
    segment_in_true_boxes,
    to_slice,
)
from benchmarks.interactive.scenes import Scene
from tests.memory_cache import MemoryCache
from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.types import BoxPx, StudyPrompt
from zeus_app.types import FloatArray


class OneTissue:
    id = "one tissue"

    def encode(self, pictures: FloatArray) -> FloatArray:
        return np.zeros((len(pictures), 256, 64, 64), np.float16)


class FillsBoxes(PromptDecoder):
    """Answers a box with the box."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, embeddings: torch.Tensor, boxes: Sequence[BoxPx]) -> torch.Tensor:
        assert len(embeddings) == len(boxes)
        logits = torch.full((len(boxes), 256, 256), -10.0)
        for row, (left, top, right, bottom) in zip(logits, boxes, strict=True):
            row[round(top) : round(bottom), round(left) : round(right)] = 10
        return logits


def networks() -> Networks:
    cache = MemoryCache()
    images = CachedImageEncoder(OneTissue(), cache, batch=1)
    return Networks(images, cache, FillsBoxes(), 0.5, torch.device("cpu"))


def test_the_true_boxes_of_two_rectangles_give_both_and_nothing_between(volume: Scene) -> None:
    truth = np.zeros((32, 32), np.bool_)
    truth[2:8, 4:12] = truth[20:28, 4:12] = True
    mask = segment_in_true_boxes(networks(), volume.stack, truth, 1, "T2")
    assert (mask == truth).all()


def test_a_repeated_click_is_there_as_often_as_it_was_made(volume: Scene) -> None:
    prompt = StudyPrompt(((8.0, 6.0, 1.0), (8.0, 6.0, 1.0)), ((9.0, 6.0, 2.0),))
    points = every_point(prompt, volume.stack.frame)
    assert len(points[1].foreground) == 2
    assert (points[2].foreground, len(points[2].background)) == ((), 1)


def test_a_voxel_becomes_the_pixel_in_its_middle(volume: Scene) -> None:
    """A voxel is 8×8 pixels; pictures have the patient's right at the left and anterior up."""
    points = every_point(StudyPrompt(((0.0, 31.0, 1.0),)), volume.stack.frame)
    assert points[1].foreground == ((3.5, 251.5),)


def test_a_picture_is_compared_on_the_grid_of_the_study(volume: Scene) -> None:
    picture = np.zeros((256, 256), np.float32)
    picture[:8, 248:] = 1
    assert np.argwhere(to_slice(picture, volume.stack.frame)).tolist() == [[0, 31]]


def test_every_method_has_a_name_for_the_command_line() -> None:
    assert {"clicks", "points"} <= METHODS.keys()
