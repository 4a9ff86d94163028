"""Taking masks that lie among the studies as labels; only ever on the user's explicit word."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zeus_app.labels.files import read_label
from zeus_app.labels.mask_files import ImportedLabel, import_labels
from zeus_app.labels.versions import FINAL, LabelHistory, LabelVersion
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import state_folder
from zeus_app.targets import target_of
from zeus_app.types import StudyProblem

_SOURCE = "imported_from"


def import_into_store(
    folder: Path, config: ZeusConfig, *, pattern: str | None = None, replace: bool = False
) -> Iterator[tuple[str, str]]:
    """Add the mask of every study that has one as a version of its final label.

    What a user made of a label since its import counts more than the mask it came from.

    Args:
        folder: the studies.
        config: names the target and the state.
        pattern: glob that picks among several masks.
        replace: let masks count again where another label counts now.

    Yields:
        study id, and the file its label came from, or why it was kept or left out.

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
        newest = history.newest(one.study_id, FINAL)
        if newest and _is_same(newest, one):
            yield one.study_id, f"kept: unchanged, {one.path}"
        elif newest and not _came_from(newest, one.path) and not replace:
            yield one.study_id, "kept: corrected since; --replace imports the mask all the same"
        else:
            history.save(one.study_id, FINAL, one.volume, {_SOURCE: str(one.path.resolve())})
            yield one.study_id, str(one.path)


def _is_same(newest: LabelVersion, mask: ImportedLabel) -> bool:
    label = read_label(newest.path)
    return label.grid.matches(mask.volume.grid) and np.array_equal(label.array, mask.volume.array)


def _came_from(newest: LabelVersion, path: Path) -> bool:
    source = newest.info.get(_SOURCE)
    return source is not None and Path(source).resolve() == path.resolve()
