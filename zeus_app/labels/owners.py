"""Tell by its grid on which studies a label may have been drawn."""

from collections.abc import Mapping
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.labels.files import label_grid
from zeus_app.labels.grids import same_place
from zeus_app.types import Grid, StudyFiles, VolumeSource


def studies_drawn_on(path: Path, studies: Mapping[str, StudyFiles]) -> set[str]:
    """The studies with a sequence on the grid of a label. Only headers are read.

    Args:
        path: the label file. One that cannot be read lies on no study.
        studies: id -> files of the studies in question.
    """
    try:
        drawn = label_grid(path)
    except InputError:
        return set()
    return {
        study
        for study, files in studies.items()
        if any(_lies_on(drawn, source) for source in files.sources.values())
    }


def _lies_on(drawn: Grid, source: VolumeSource) -> bool:
    try:
        return same_place(drawn, source.grid())
    except (InputError, OSError):
        return False
