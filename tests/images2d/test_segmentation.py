"""Masks on the image's own size, and their scores."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.images2d.painted import HEIGHT, WIDTH, square_mask, write
from zeus_app.errors import InputError
from zeus_app.images2d.files import Pair, find_images
from zeus_app.images2d.pixels import Classes
from zeus_app.images2d.segmentation import (
    ImageScores,
    ImageSegmenter,
    mean_scores,
    score_images,
    write_masks,
)


class Bright(nn.Module):
    """Logits above 0 where the red channel is bright."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels[:, :1] * 10


@pytest.fixture
def segmenter() -> ImageSegmenter:
    return ImageSegmenter(Bright(), Classes(), edge_px=64, device=torch.device("cpu"))


def bright(path: Path) -> Path:
    return write(path, square_mask(255))


def test_a_mask_has_the_size_of_its_image(segmenter: ImageSegmenter, tmp_path: Path) -> None:
    bright(tmp_path / "images" / "sub" / "a.jpg")
    failed = write_masks(segmenter, find_images(tmp_path / "images"), tmp_path / "out")
    mask = np.asarray(Image.open(tmp_path / "out" / "sub" / "a.png"))
    assert failed == {}
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert mask[8, 10] == 255


def test_an_image_that_fails_stops_no_other(segmenter: ImageSegmenter, tmp_path: Path) -> None:
    bright(tmp_path / "images" / "b.png")
    (tmp_path / "images" / "a.png").write_bytes(b"broken")
    failed = write_masks(segmenter, find_images(tmp_path / "images"), tmp_path / "out")
    assert failed.keys() == {"a"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


def test_no_image_is_replaced_by_its_mask(segmenter: ImageSegmenter, tmp_path: Path) -> None:
    bright(tmp_path / "a.png")
    with pytest.raises(InputError, match="would replace an image"):
        write_masks(segmenter, find_images(tmp_path), tmp_path)


def test_scores_are_those_of_the_image_s_own_size(
    segmenter: ImageSegmenter, tmp_path: Path
) -> None:
    image = bright(tmp_path / "a.png")
    empty = write(tmp_path / "b_mask.png", square_mask(0))
    pairs = [Pair("a", image, (image,)), Pair("b", image, (empty,))]
    (first, second), skipped = score_images(segmenter, pairs, {})
    assert first.dsc > 0.95
    assert (second.dsc, second.miou) == (0, 0)
    # Of 40×32 pixels about 8×8 are wrong: the background's IoU is 0.95, the label's 0.
    assert second.miou_with_background == pytest.approx(0.95 / 2, abs=0.01)
    assert skipped == {}


def test_an_image_has_its_role_by_its_content(segmenter: ImageSegmenter, tmp_path: Path) -> None:
    learnt, other = bright(tmp_path / "1" / "a.png"), tmp_path / "2" / "a.png"
    write(other, square_mask(254))
    copied = Path(shutil.copy(learnt, tmp_path / "b.png"))
    roles = {hashlib.sha256(learnt.read_bytes()).hexdigest(): "trained on"}
    pairs = [Pair("a", other, (other,)), Pair("b", copied, (copied,))]
    scores, _ = score_images(segmenter, pairs, roles)
    assert [one.role for one in scores] == ["new", "trained on"]


def test_a_wrong_mask_is_refused_or_left_out(segmenter: ImageSegmenter, tmp_path: Path) -> None:
    image = bright(tmp_path / "a.png")
    wrong = write(tmp_path / "a_mask.png", square_mask()[:5])
    pairs = [Pair("a", image, (wrong,))]
    with pytest.raises(InputError, match="a_mask"):
        score_images(segmenter, pairs, {})
    scores, skipped = score_images(segmenter, pairs, {}, skip_bad=True)
    assert scores == []
    assert skipped.keys() == {"a"}


def test_means_are_those_of_the_images() -> None:
    scores = [ImageScores("a", "new", 0.5, 0.4, 0.6), ImageScores("b", "new", 1, 0.8, 1)]
    assert mean_scores(scores) == pytest.approx((0.75, 0.6, 0.8))
