"""Labels whose study is not listed: it is gone, was renamed, or a PACS does not show it."""

from collections.abc import Collection

from zeus_app.labels.versions import LabelHistory
from zeus_app.types import StudyProblem


def orphaned_labels(
    history: LabelHistory, known: Collection[str], *, remedy: str
) -> tuple[StudyProblem, ...]:
    """The labels of no known study, with what to do.

    Args:
        history: the labels.
        known: ids of all studies, of those that cannot be used too.
        remedy: one sentence, without the full stop.
    """
    return tuple(
        StudyProblem(
            study,
            (history.folder_of(study, tag),),
            f"labels of no study ({tag}): no study is called {study}. {remedy}",
        )
        for tag in history.tags()
        for study in sorted(history.studies(tag).difference(known))
        if history.newest(study, tag)
    )
