"""Scores of a case against hand-made masks, and what a case is without some sequences."""

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from tests.painted import grid
from tests.training.conftest import SIZE, tiny_case
from zeus_app.bench.scores import (
    mean_over_labels,
    picture_spacing_mm,
    score,
    subsets,
    with_sequences,
)
from zeus_app.errors import InputError
from zeus_app.types import LabelledStudy, Volume


def label_map(*rows: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """One slice whose first rows hold these digits; all other pixels are 0."""
    pixels = np.zeros((1, SIZE, SIZE), np.uint8)
    for index, row in enumerate(rows):
        pixels[0, index, : len(row)] = [int(digit) for digit in row]
    return pixels


class TestScores:
    def scores(self, predicted: str, truth: str) -> dict[str, Any]:
        masks = np.stack([label_map(truth) == value for value in (1, 2)], axis=1)
        case = SimpleNamespace(masks=lambda slices: torch.from_numpy(masks))
        labels = ("liver", "spleen")
        return score(label_map(predicted), cast(Any, case), labels, (5.0, 2.0, 2.0))

    def test_each_label_is_compared_with_the_mask_of_its_channel(self) -> None:
        # Liver: two of three and three pixels agree. Spleen: one pixel, one pixel to the right.
        scores = self.scores(predicted="1110002", truth="0111020")
        assert scores["dsc"] == {"liver": pytest.approx(2 * 2 / 6), "spleen": 0.0}
        assert scores["lesion_f1"] == {"liver": 1.0, "spleen": 0.0}
        assert scores["hd95_mm"]["spleen"] == pytest.approx(2.0)

    def test_a_label_that_neither_shows_has_no_score(self) -> None:
        assert self.scores(predicted="11", truth="11")["dsc"] == {"liver": 1.0}

    def test_a_missed_label_has_no_distance(self) -> None:
        assert self.scores(predicted="11", truth="1122")["hd95_mm"]["spleen"] is None

    def test_pictures_of_a_wide_slice_have_256_pixels_along_its_longer_side(self) -> None:
        place = grid((128, 64, 5), (1.0, 1.0, 4.0))
        volume = Volume(np.zeros(place.shape, np.uint8), place.affine_ras)
        study = LabelledStudy(
            id="a",
            read_study=partial(pytest.fail, "the label alone is read"),
            read_label=lambda: volume,
            read_grid=lambda: place,
            patient="a",
            sequences=("T2",),
        )
        assert picture_spacing_mm(study) == pytest.approx((4.0, 0.5, 0.5))

    def test_the_background_is_what_neither_label_covers(self) -> None:
        # 256 pixels; the truth covers 2 of them, the prediction the first of these alone.
        background = self.scores(predicted="1", truth="11")["background"]
        assert background == {"dsc": pytest.approx(2 * 254 / (255 + 254)),
                              "iou": pytest.approx(254 / 255)}  # fmt: skip

    def test_the_mean_over_labels_counts_labels_that_are_shown_and_the_background_if_asked(
        self,
    ) -> None:
        scores = {"dsc": {"liver": 0.5, "spleen": 0.7}, "background": {"dsc": 0.9}}
        assert mean_over_labels(scores, "dsc") == pytest.approx(0.6)
        assert mean_over_labels(scores, "dsc", background=True) == pytest.approx(0.7)
        assert mean_over_labels({"dsc": {}}, "dsc") == 1.0


class TestSubsets:
    def test_three_sequences_have_six_subsets_besides_none_and_all(self) -> None:
        assert ["+".join(names) for names in subsets(("T1", "T2", "FLAIR"))] == [
            "T1", "T2", "FLAIR", "T1+T2", "T1+FLAIR", "T2+FLAIR",
        ]  # fmt: skip

    def test_a_sequence_that_is_not_chosen_is_absent_on_every_slice(self) -> None:
        case = with_sequences(tiny_case("a"), ("T2", "FLAIR"), ("FLAIR",))
        assert case.prepared.present.tolist() == [[False, True]] * 6

    def test_a_model_whose_masks_are_not_those_of_sequences_is_refused(self) -> None:
        with pytest.raises(InputError, match="subsets of the sequences"):
            with_sequences(tiny_case("a"), ("T2", "FLAIR", "T1"), ("FLAIR",))
