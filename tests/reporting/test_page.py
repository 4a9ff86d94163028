"""The report is one HTML file that shows everything of a run and runs no script."""

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zeus_app.reporting.page import format_score, render, write_report
from zeus_app.reporting.values import CurvePoint, LabelScores, RunPage, StudyPage
from zeus_app.types import Instruction

SHAPE = (24, 24, 3)


def make_run() -> RunPage:
    truth = np.zeros(SHAPE, np.uint8)
    truth[4:9, 4:9, 1] = 1
    image = np.random.default_rng(0).random(SHAPE, np.float32)
    study = StudyPage(
        study_id="phantom_08",
        spacing_mm=(1.5, 1.5, 5.0),
        sequences={"T2": image, "FLAIR": image},
        labels={"lesion": 1, "cyst": 2},
        masks={"T2": truth, "FLAIR": truth},
        union=truth,
        truth=truth,
        scores={
            "lesion": LabelScores(0.0123, 0.9214, {"T2": 0.7011, "FLAIR": 0.6543}),
            "cyst": LabelScores(None, math.nan, {}),
        },
        instructions=(
            Instruction("T2", "lesion", None, "Look for a bright rim.", "smollm2"),
            Instruction("FLAIR", "lesion", 4, "My own words.", "user"),
        ),
        role="held back",
        notes=("empty mask",),
    )
    return RunPage(
        title="Zeus demo: phantom",
        summary="Eight studies to learn from.",
        studies=(study,),
        curve=(CurvePoint(1, 0.9), CurvePoint(2, 0.5, 0.7)),
        settings={"profile": "reference-small", "seed": "0"},
        times={"training": "181 s"},
        commands=("make demo",),
    )


class Text(HTMLParser):
    """Collects the text a reader sees and the tags that carry it."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        in_style = bool(self.tags) and self.tags[-1][0] == "style" and "{" in data
        if data.strip() and not in_style:
            self.words.append(data.strip())


def read(run: RunPage) -> Text:
    text = Text()
    text.feed(render(run))
    return text


def visible_text(run: RunPage) -> str:
    text = read(run)
    return " ".join(text.words)


@pytest.mark.parametrize(
    "words",
    [
        "Zeus demo: phantom",
        "phantom_08",
        "held back",
        "T2",
        "FLAIR",
        "lesion",
        "cyst",
        "Look for a bright rim.",
        "smollm2",
        "empty mask",
        "0.012",
        "0.921",
        "0.701",
        "0.654",
        "reference-small",
        "181 s",
        "make demo",
    ],
)
def test_the_page_shows(words: str) -> None:
    assert words in visible_text(make_run())


def test_a_generated_instruction_carries_the_notice() -> None:
    row = re.search(r"<tr>(?:(?!</tr>).)*Look for a bright rim.*?</tr>", render(make_run()))
    assert row is not None
    assert "machine-made, not for diagnosis" in row.group()


def test_an_instruction_of_a_user_carries_no_notice() -> None:
    row = re.search(r"<tr>(?:(?!</tr>).)*My own words.*?</tr>", render(make_run()))
    assert row is not None
    assert "machine-made" not in row.group()


def test_a_page_without_instructions_carries_the_notice() -> None:
    run = make_run()
    bare = replace(run, studies=(replace(run.studies[0], instructions=()),))
    assert "machine-made, not for diagnosis" in visible_text(bare)


def test_slices_are_counted_from_one_and_an_instruction_of_a_series_is_for_all() -> None:
    words = read(make_run()).words
    first = words.index("Look for a bright rim.")
    user_text = words.index("My own words.")
    assert (words[first - 1], words[user_text - 1]) == ("all", "5")


def test_a_score_that_was_not_measured_is_a_dash() -> None:
    assert format_score(math.nan) == format_score(None) == "–"
    assert not re.search(r"\b(nan|none|inf)\b", visible_text(make_run()), flags=re.IGNORECASE)


def test_every_picture_is_a_png_inside_the_page() -> None:
    sources = [attrs["src"] for tag, attrs in read(make_run()).tags if tag == "img"]
    assert len(sources) == 2  # the curve and the study
    for source in sources:
        assert source is not None
        kind, data = source.split(",", 1)
        assert kind == "data:image/png;base64"
        Image.open(io.BytesIO(base64.b64decode(data, validate=True))).verify()


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = read(make_run())
    assert not [tag for tag, _ in page.tags if tag in {"script", "link", "iframe"}]
    assert "http" not in re.sub(r"base64,[^\"]+", "", render(make_run()))


def test_text_of_a_model_cannot_become_html() -> None:
    run = make_run()
    evil = Instruction("T2", "lesion", None, "<script>alert(1)</script>", "smollm2")
    page = replace(run, studies=(replace(run.studies[0], instructions=(evil,)),))
    assert "script" not in [tag for tag, _ in read(page).tags]
    assert "<script>alert(1)</script>" in visible_text(page)


def test_a_run_that_finished_no_study_says_so() -> None:
    assert "No study was finished." in visible_text(replace(make_run(), studies=(), curve=()))


def test_the_report_is_written_to_the_given_path(tmp_path: Path) -> None:
    path = write_report(tmp_path / "reports" / "demo.html", make_run())
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [entry.name for entry in path.parent.iterdir()] == ["demo.html"]
