"""Taking masks that lie among the studies as labels; only ever on the user's explicit word."""

from collections.abc import Iterator
from pathlib import Path

from zeus_app.build import target_of
from zeus_app.config import ZeusConfig
from zeus_app.server.label_history import FINAL, LabelHistory
from zeus_app.state import state_folder
from zeus_app.studies.imports import import_labels
from zeus_app.types import StudyProblem


def import_into_store(
    folder: Path, config: ZeusConfig, *, pattern: str | None = None
) -> Iterator[tuple[str, str]]:
    """Add the mask of every study that has one as a version of its final label.

    Args:
        folder: the studies.
        config: names the target and the state.
        pattern: glob that picks among several masks.

    Yields:
        study id, and the file its label came from or why it was left out.

    Raises:
        InputError: the folder is none.
    """
    target = target_of(config)
    state = state_folder(config, target=target.name, studies=folder)
    history = LabelHistory(state.labels)
    for one in import_labels(folder, target, pattern=pattern, skip=(state.root,)):
        if isinstance(one, StudyProblem):
            yield one.id, f"left out: {one.reason}"
            continue
        history.save(one.study_id, FINAL, one.volume, {"imported_from": str(one.path)})
        yield one.study_id, str(one.path)
