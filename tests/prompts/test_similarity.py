"""Similar regions on an embedding painted by hand: each tissue has one direction."""

import numpy as np
import torch

from zeus_app.prompts.similarity import near, part_boxes, prototype, similar_region
from zeus_app.prompts.types import SlicePrompt
from zeus_app.types import BoolArray


def painted(*rectangles: tuple[int, int, int, int]) -> torch.Tensor:
    """(256, 64, 64): background in direction 0, every rectangle (cells) in direction 1."""
    embedding = torch.zeros(256, 64, 64)
    embedding[0] = 1
    for top, left, bottom, right in rectangles:
        embedding[0, top:bottom, left:right] = 0
        embedding[1, top:bottom, left:right] = 1
    return embedding


def rows_and_cols(region: BoolArray) -> tuple[int, int, int, int]:
    rows, cols = np.nonzero(region)
    return int(rows.min()), int(cols.min()), int(rows.max()) + 1, int(cols.max()) + 1


def test_one_click_finds_the_whole_similar_region() -> None:
    prompt = SlicePrompt(foreground=((50, 100),))
    region = similar_region(painted((10, 20, 18, 30))[None], prompt).region
    bounds = np.array(rows_and_cols(region))
    assert np.abs(bounds - np.array([40, 80, 72, 120])).max() <= 2  # 4 px a cell, linear between


def test_a_similar_part_that_is_not_connected_is_left_out() -> None:
    embedding = painted((10, 20, 18, 30), (40, 20, 48, 30))
    region = similar_region(embedding[None], SlicePrompt(foreground=((50, 100),))).region
    assert rows_and_cols(region)[2] < 100


def test_a_region_that_is_similar_in_one_of_two_sequences_is_left_out() -> None:
    both = torch.stack([painted((10, 20, 18, 30)), painted((10, 10, 18, 60))])
    leaking = torch.stack([painted((10, 20, 18, 30)), painted((0, 0, 64, 64))])
    for embeddings in (both, leaking):
        region = similar_region(embeddings, SlicePrompt(foreground=((50, 100),))).region
        bounds = np.array(rows_and_cols(region))
        assert np.abs(bounds - np.array([40, 80, 72, 120])).max() <= 2


def test_more_clicks_raise_the_least_cosine() -> None:
    embedding = torch.zeros(256, 64, 64)
    embedding[1, 10:18, 20:30] = 1
    embedding[1, 10:18, 30:40] = 0.39  # the cosine with the clicked cells
    embedding[2, 10:18, 30:40] = 0.92
    embedding[:, 40:48] = -embedding[:, 10:18]  # so that the mean of all cells is 0
    on = ((50.0, 100.0), (50.0, 90.0), (60.0, 100.0), (60.0, 90.0), (55.0, 95.0), (55.0, 85.0))
    of_one = similar_region(embedding[None], SlicePrompt(foreground=on[:1])).region
    of_six = similar_region(embedding[None], SlicePrompt(foreground=on)).region
    assert of_one[50, 140]
    assert not of_six[50, 140]


def test_a_second_click_adds_a_second_part() -> None:
    embedding = painted((10, 20, 18, 30), (40, 20, 48, 30))
    prompt = SlicePrompt(foreground=((50, 100), (170, 100)))
    assert len(part_boxes(similar_region(embedding[None], prompt).region)) == 2


def test_a_background_click_takes_its_surroundings_away() -> None:
    embedding = painted((10, 10, 20, 50))
    both = SlicePrompt(foreground=((60, 60),), background=((60, 180),))
    region = similar_region(embedding[None], both).region
    assert region[60, 60]
    assert not region[60, 180]
    assert rows_and_cols(region)[3] <= 122  # half way between the two, on tissue of one kind


def test_prototypes_of_one_tissue_are_equal_and_of_two_tissues_are_not() -> None:
    embedding = painted((10, 10, 20, 20), (40, 40, 50, 50))
    masks = np.zeros((3, 256, 256), np.bool_)
    masks[0, 44:76, 44:76] = masks[1, 164:196, 164:196] = masks[2, 100:140, 100:140] = True
    first, same, other = (prototype(embedding[None], mask)[0] for mask in masks)
    assert float(first @ same) > 0.99
    assert float(first @ other) < 0


def test_the_prototype_is_zero_where_all_cells_are_equal() -> None:
    mask = np.zeros((256, 256), np.bool_)
    mask[60:70, 60:70] = True
    assert not prototype(torch.ones(1, 256, 64, 64), mask).any()


def test_the_largest_part_comes_first_with_its_outer_faces() -> None:
    region = np.zeros((256, 256), np.bool_)
    region[5:7, 8:9] = True
    region[20:30, 40:60] = True
    assert part_boxes(region) == [(40, 20, 60, 30), (8, 5, 9, 7)]


def test_a_click_at_the_pictures_edge_is_near_itself() -> None:
    assert near(((255.4, -0.4),))[255, 0]
