"""The report of a run: one HTML file with all pictures inside."""

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from zeus_app.reporting.curves import training_curve
from zeus_app.reporting.pictures import data_uri, label_colours, slice_to_show, study_figure
from zeus_app.reporting.values import RunPage, StudyPage, summarise
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.types import MACHINE_MADE

TEMPLATES = Path(__file__).parent / "templates"


def write_report(path: Path, run: RunPage) -> Path:
    """Write the report atomically.

    Args:
        path: the HTML file; its folder is created.
        run: the contents.

    Returns:
        The path.
    """
    write_text_atomically(path, render(run))
    return path


def render(run: RunPage) -> str:
    """The report as HTML."""
    # Texts come from language models and users, so all of them are escaped.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = format_score
    return environment.get_template("report.html.j2").render(
        run=run,
        summary=summarise(run.studies),
        curve=data_uri(training_curve(run.curve)) if run.curve else "",
        studies=[_study_block(study) for study in run.studies],
        notice=MACHINE_MADE,
    )


def format_score(value: float | None) -> str:
    """Three decimals; a dash for None and for values that are not finite."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _study_block(study: StudyPage) -> dict[str, object]:
    """What the template shows of one study. Slices are counted from 1."""
    index = slice_to_show(study)
    return {
        "page": study,
        "picture": data_uri(study_figure(study)),
        "slice": index + 1,
        "slices": study.union.shape[2],
        "colours": {name: colour for name, (colour, _) in label_colours(study.labels).items()},
    }
