"""The report of a run: one HTML file that needs nothing beside it."""

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from zeus_app.reporting.curves import training_curve
from zeus_app.reporting.pictures import data_uri, label_colours, shown_slice, study_figure
from zeus_app.reporting.values import RunPage, StudyPage, summarise
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.types import MACHINE_MADE

TEMPLATES = Path(__file__).parent / "templates"


def write_report(path: Path, run: RunPage) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: the HTML file; its folder is made.
        run: what to show.

    Returns:
        The path.
    """
    write_text_atomically(path, render(run))
    return path


def render(run: RunPage) -> str:
    """The page as HTML text."""
    # Texts come from language models and users: nothing of theirs may act as HTML.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = shown_score
    return environment.get_template("report.html.j2").render(
        run=run,
        summary=summarise(run.studies),
        curve=data_uri(training_curve(run.curve)) if run.curve else "",
        studies=[_study_block(study) for study in run.studies],
        notice=MACHINE_MADE,
    )


def shown_score(value: float | None) -> str:
    """Three decimals, or a dash for what was not measured."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _study_block(study: StudyPage) -> dict[str, object]:
    index = shown_slice(study)
    return {
        "page": study,
        "picture": data_uri(study_figure(study)),
        "slice": index + 1,
        "slices": study.union.shape[2],
        "colours": {name: colour for name, (colour, _) in label_colours(study.labels).items()},
    }
