"""The split of images: seeded, in a file, and without an image on both sides."""

from pathlib import Path

import pytest

from zeus_app.errors import InputError
from zeus_app.images2d.split import Split, draw_split, read_split

NAMES = [f"case{number}" for number in range(10)]


def test_each_image_is_on_one_side() -> None:
    split = draw_split(NAMES, fraction=0.2, seed=0)
    assert (len(split.train), len(split.validation)) == (8, 2)
    assert sorted([*split.train, *split.validation]) == NAMES


def test_a_seed_gives_one_split_in_any_order_of_the_names() -> None:
    split = draw_split(NAMES, fraction=0.3, seed=1)
    assert draw_split(NAMES[::-1], fraction=0.3, seed=1) == split
    assert draw_split(NAMES, fraction=0.3, seed=2) != split


def test_a_small_share_still_has_an_image_for_validation() -> None:
    assert len(draw_split(NAMES, fraction=0.01, seed=0).validation) == 1


def test_without_validation_every_image_is_learnt_from() -> None:
    assert draw_split(NAMES, fraction=0, seed=0).train == tuple(NAMES)


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(InputError, match="--validation 0"):
        draw_split(["a"], fraction=0.2, seed=0)


def test_a_saved_split_is_read(tmp_path: Path) -> None:
    split = Split(("a", "ä/b"), ("c",))
    split.save(tmp_path / "split.json")
    assert read_split(tmp_path / "split.json", ["a", "ä/b", "c", "d"]) == split


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no json", "is no split"),
        ('{"train": ["x"]}', "images that are not there: x"),
        ('{"train": ["a"], "validation": ["a"]}', "a name twice"),
        ('{"train": [], "validation": ["a"]}', "no image to learn from"),
    ],
)
def test_a_wrong_split_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_split(path, ["a", "b"])
