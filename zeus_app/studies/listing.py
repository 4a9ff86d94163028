"""The studies of a folder as JSON: for GET /zeus/studies and `zeus studies`."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from zeus_app.settings.file_names import readable
from zeus_app.types import StudyFiles, StudyProblem


def studies_as_json(
    studies: Mapping[str, StudyFiles],
    problems: Iterable[StudyProblem],
    *,
    labelled: Collection[str] = (),
) -> dict[str, Any]:
    """List studies with their sequences, and the studies that cannot be used.

    Names that are no UTF-8 are shown with escapes.

    Args:
        studies: id -> study, whose patient is a pseudonym.
        problems: the studies that cannot be used.
        labelled: ids of the studies with a final label.

    Returns:
        "studies": id -> "labelled", "patient", "sequences" (name -> files), "evidence" (name ->
        why the image is taken for this sequence), "unused" (images with "files" and "reason") and
        "masks" (files that may be masks), and "opened": false if it is in a PACS and its
        sequences are not known yet; "problems": each with "study", "files" and "reason".
    """
    return {
        "studies": {
            name: {"labelled": name in labelled, **_as_json(files)}
            for name, files in studies.items()
        },
        "problems": [
            {
                "study": readable(problem.id),
                "files": _paths(problem.files),
                "reason": readable(problem.reason),
            }
            for problem in problems
        ],
    }


def _as_json(study: StudyFiles) -> dict[str, Any]:
    return {
        **({} if study.sources else {"opened": False}),
        "patient": readable(study.patient),
        "sequences": {name: _paths(source.files) for name, source in study.sources.items()},
        "evidence": {name: readable(text) for name, text in study.evidence.items()},
        "unused": [
            {"files": _paths(image.files), "reason": readable(image.reason)}
            for image in study.unused
        ],
        "masks": _paths(study.masks),
    }


def _paths(files: Iterable[Path]) -> list[str]:
    return [readable(path) for path in files]
