"""Pictures have the radiological orientation and show the slice with most labels."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.axes import Axes
from PIL import Image

from zeus_app.errors import InputError
from zeus_app.reporting.pictures import (
    click_figure,
    label_colours,
    png_bytes,
    radiological,
    save_png,
    slice_to_show,
    slice_with_most_labels,
    study_figure,
    window,
)
from zeus_app.reporting.values import LabelScores, StudyPage

SHAPE = (40, 48, 5)


def make_study() -> StudyPage:
    rng = np.random.default_rng(0)
    truth = np.zeros(SHAPE, np.uint8)
    truth[4:12, 30:40, 1:4] = 1
    truth[25:33, 10:20, 3] = 2
    lesion = np.where(truth == 1, truth, 0).astype(np.uint8)
    return StudyPage(
        study_id="phantom_08",
        spacing_mm=(1.5, 1.5, 5.0),
        sequences={name: rng.random(SHAPE, np.float32) for name in ("T2", "FLAIR")},
        labels={"lesion": 1, "cyst": 2},
        masks={"T2": lesion, "FLAIR": lesion},
        union=truth.copy(),
        truth=truth,
        scores={"lesion": LabelScores(0.1, 0.9, {"T2": 0.7, "FLAIR": 0.6})},
    )


def pixels(study: StudyPage) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png_bytes(study_figure(study)))).convert("RGB"))


def outlines_px(axes: Axes) -> npt.NDArray[np.float64]:
    """(N, 2) x and y of every corner of the outlines in one panel."""
    return np.concatenate([np.asarray(lines.get_paths()[0].vertices) for lines in axes.collections])


def test_the_patients_right_is_at_the_left_edge() -> None:
    slice_xy = np.zeros((6, 4))
    slice_xy[5, :] = 1  # RAS: the last x is the patient's rightmost
    assert radiological(slice_xy)[:, 0].tolist() == [1, 1, 1, 1]


def test_anterior_is_at_the_top() -> None:
    slice_xy = np.zeros((6, 4))
    slice_xy[:, 3] = 1  # RAS: the last y is anterior
    assert radiological(slice_xy)[0].tolist() == [1] * 6


def test_an_outline_lies_on_the_side_of_its_object() -> None:
    study = make_study()
    right = np.zeros(SHAPE, np.uint8)
    right[30:38, 20:28, 2] = 1  # large x: the patient's right
    figure = study_figure(replace(study, union=right, truth=right, labels={"lesion": 1}))
    assert outlines_px(figure.axes[2])[:, 0].max() < SHAPE[0] / 2


def test_an_outline_runs_around_its_mask() -> None:
    study = make_study()
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:20, 5:25, 2] = 1
    figure = study_figure(replace(study, union=mask, truth=None))
    outline = outlines_px(figure.axes[5])
    # x 10..19 of 40 become columns 39-19..39-10; y 5..24 of 48 rows 47-24..47-5; half a pixel out
    assert [*outline.min(axis=0), *outline.max(axis=0)] == [19.5, 22.5, 29.5, 42.5]


def test_a_mask_at_the_edge_of_the_slice_has_a_closed_outline() -> None:
    study = make_study()
    full_mask = np.ones(SHAPE, np.uint8)
    figure = study_figure(replace(study, union=full_mask, truth=None))
    outline = outlines_px(figure.axes[5])
    assert outline.min() < 0


def test_the_slice_with_the_most_truth_is_shown() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[:2, :2, 1] = 1
    truth[:9, :9, 4] = 1
    assert slice_with_most_labels(truth) == 4


def test_a_slice_with_both_labels_is_preferred_to_one_with_more_of_the_larger() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[:10, :10, 0] = 1  # 100 voxels: 5/9 of the large label
    truth[:8, :10, 2] = 1  # 80 voxels: 4/9 of it
    truth[20:22, :2, 2] = 2  # and all of the small one
    assert slice_with_most_labels(truth) == 2


def test_without_truth_the_slice_with_the_most_union_is_shown() -> None:
    study = make_study()
    union = np.zeros(SHAPE, np.uint8)
    union[0, 0, 4] = 1
    assert slice_to_show(replace(study, union=union, truth=None)) == 4


def test_without_any_mask_the_middle_slice_is_shown() -> None:
    empty = np.zeros(SHAPE, np.uint8)
    assert slice_to_show(replace(make_study(), union=empty, truth=None)) == 2


def test_every_sequence_its_mask_the_union_and_the_truth_have_a_panel() -> None:
    titles = [axes.get_title() for axes in study_figure(make_study()).axes]
    assert titles == [
        "T2",
        "FLAIR",
        "truth",
        "T2, own mask: DSC 0.70",
        "FLAIR, own mask: DSC 0.60",
        "union: DSC 0.90",
    ]


def test_anisotropic_voxels_are_shown_in_millimetres() -> None:
    figure = study_figure(replace(make_study(), spacing_mm=(1.0, 2.5, 5.0)))
    assert figure.axes[0].get_aspect() == 2.5


def test_the_union_is_drawn_in_the_labels_colour() -> None:
    study = make_study()
    orange = np.array([0xFF, 0x9F, 0x1C])
    distance = np.abs(pixels(study).astype(int) - orange).sum(axis=-1)
    assert (distance < 60).sum() > 50


def test_a_volume_with_nan_voxels_is_drawn() -> None:
    study = make_study()
    study.sequences["T2"][:5] = np.nan
    assert pixels(study).std() > 0


def test_a_constant_volume_has_a_window_of_nonzero_width() -> None:
    assert window(np.full(SHAPE, 7.0, np.float32)) == (7.0, 8.0)


def test_a_study_of_one_slice_and_four_sequences_is_drawn() -> None:
    mask = np.zeros((20, 20, 1), np.uint8)
    names = ("T1", "T1Gd", "T2", "FLAIR")
    study = StudyPage(
        study_id="one",
        spacing_mm=(1.0, 1.0, 1.0),
        sequences={name: mask.astype(np.float32) for name in names},
        labels={"tumour": 1},
        masks={},
        union=mask,
    )
    assert len(study_figure(study).axes) == 10


def test_nine_labels_repeat_the_first_colour() -> None:
    colours = [colour for colour, _ in label_colours({str(n): n for n in range(1, 10)}).values()]
    assert len(set(colours[:8])) == 8
    assert colours[8] == colours[0]


def test_a_saved_picture_is_a_png_that_opens(tmp_path: Path) -> None:
    path = save_png(study_figure(make_study()), tmp_path / "new" / "study.png")
    assert Image.open(path).format == "PNG"


def test_arrays_on_different_grids_are_refused() -> None:
    study = make_study()
    with pytest.raises(InputError, match="mask of T2"):
        replace(study, masks={"T2": np.zeros((40, 48, 4), np.uint8)})


def test_a_study_without_any_sequence_is_refused() -> None:
    with pytest.raises(InputError, match="at least one sequence"):
        replace(make_study(), sequences={})


def test_an_example_click_is_marked_where_the_voxel_is_shown() -> None:
    study = make_study()
    one_slice = replace(
        study,
        sequences={"T2": study.sequences["T2"][:, :, 3:4]},
        masks={},
        union=study.union[:, :, 3:4],
        truth=None,
    )
    clicked, masked = click_figure(one_slice, "T2", (5, 33)).axes
    column, row = (int(np.asarray(values)[0]) for values in clicked.lines[0].get_data())
    picture = np.asarray(clicked.images[0].get_array())
    assert picture[row, column] == one_slice.sequences["T2"][5, 33, 0]
    assert not clicked.collections
    assert masked.collections
