"""Import masks that lie beside studies as final labels: `zeus import-labels`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zeus_app.labels.files import read_label
from zeus_app.labels.mask_files import ImportedLabel, find_masks
from zeus_app.labels.versions import FINAL, LabelHistory, LabelVersion
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import state_folder
from zeus_app.targets import target_of
from zeus_app.types import StudyProblem

_SOURCE = "imported_from"


def import_into_store(
    folder: Path,
    config: ZeusConfig,
    *,
    pattern: str | None = None,
    convention: str | None = None,
    replace: bool = False,
) -> Iterator[tuple[str, str]]:
    """Add the mask of each study as a version of its final label.

    A label that a user submitted or corrected after the import stays, unless `replace` is set.

    Args:
        folder: the studies folder.
        config: names the target and the state folder.
        pattern: glob that chooses among several masks.
        convention: the data set whose values the masks have, see `Target.import_conventions`.
        replace: import a mask even if the final label is another one.

    Yields:
        the study id, and the imported file or the reason why nothing was imported.

    Raises:
        InputError: `folder` is not a folder, or the target needs another convention.
    """
    target = target_of(config).reading(convention)
    state = state_folder(config, target=target.name, studies=folder)
    history = LabelHistory(state.labels)
    for mask in find_masks(folder, target, pattern=pattern, skip=(state.root,)):
        if isinstance(mask, StudyProblem):
            yield mask.id, f"left out: {mask.reason}"
            continue
        newest = history.newest(mask.study_id, FINAL)
        if newest and _is_same(newest, mask):
            yield mask.study_id, f"kept: unchanged, {mask.path}"
        elif newest and not _came_from(newest, mask.path) and not replace:
            yield mask.study_id, "kept: corrected since; --replace imports the mask anyway"
        else:
            history.save(mask.study_id, FINAL, mask.volume, {_SOURCE: str(mask.path.resolve())})
            yield mask.study_id, str(mask.path)


def _is_same(newest: LabelVersion, mask: ImportedLabel) -> bool:
    label = read_label(newest.path)
    return label.grid.matches(mask.volume.grid) and np.array_equal(label.array, mask.volume.array)


def _came_from(newest: LabelVersion, path: Path) -> bool:
    source = newest.info.get(_SOURCE)
    return source is not None and Path(source).resolve() == path.resolve()
