from typing import Any

from benchmarks.interactive.page import page, plot
from benchmarks.interactive.rows import Row

TIMES: dict[str, Any] = {"seconds": [8.0, 0.5], "is_cold": [True, False]}


def row(method: str, sequences: str, *dsc: float, dimensions: int = 2, **fields: Any) -> Row:
    return {"method": method, "target": "ms_lesion", "study": "a", "label": "lesion",
            "dimensions": dimensions, "slice_index": 3 if dimensions == 2 else None,
            "sequences": sequences, "seed": 0, "clicks": 2, "code": "abc123",
            "dsc": list(dsc), "seconds": [], "is_cold": [], **fields}  # fmt: skip


ROWS = [
    row("clicks", "union", 0.5, 0.25, **TIMES),
    row("clicks", "FLAIR", 0.5, 0.75),
    row("clicks", "T1", 0.25, 0.25),
    row("points", "FLAIR", 0.125, 0.25),
    row("true boxes", "FLAIR", 0.875),
    row("clicks", "union", 0.25, 0.75, dimensions=3, **TIMES),
]


def cells(text: str, shown: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if f"| {shown} |" in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_line_has_dsc_nauc_the_harmful_share_and_seconds() -> None:
    line = cells(page(ROWS), "clicks, union")[0]
    assert line == [
        "ms_lesion", "clicks, union", "1", "0.500", "0.250", "", "", "", "0.375", "100%",
        "8.00", "0.50",
    ]  # fmt: skip


def test_2d_comes_before_3d_and_each_has_its_table() -> None:
    text = page(ROWS)
    assert text.index("2-D, single slices") < text.index("3-D, whole volumes")
    assert [line[-4] for line in cells(text, "clicks, union")] == ["0.375", "0.500"]


def test_the_best_sequence_and_the_decoder_of_lite_medsam_stand_beside() -> None:
    text = page(ROWS)
    assert cells(text, "clicks, best sequence")[0][3:5] == ["0.500", "0.750"]
    assert cells(text, "LiteMedSAM, bare points")[0][3:5] == ["0.125", "0.250"]
    assert cells(text, "LiteMedSAM, true boxes")[0][3:5] == ["0.875", "0.875"]


def test_several_labels_have_lines_of_their_own() -> None:
    liver = row("clicks", "union", 0.5, 0.5, label="liver")
    spleen = row("clicks", "union", 0.75, 0.75, label="spleen")
    lines = cells(page([liver, spleen]), "clicks, union")
    assert [(line[0], line[3]) for line in lines] == [
        ("ms_lesion", "0.625"), ("ms_lesion: liver", "0.500"), ("ms_lesion: spleen", "0.750"),
    ]  # fmt: skip


def test_the_commit_is_named() -> None:
    assert "`abc123`" in page(ROWS)


def test_the_plot_has_a_panel_for_each_target_and_dimension() -> None:
    titles = [axis.get_title() for axis in plot(ROWS).axes]
    assert titles == ["ms_lesion, 2-D", "ms_lesion, 3-D"]
