"""Bring a state folder up to date at the start: no patient's name, and nothing half-written.

Until version 0.2.0 a study whose DICOM files lie in the studies folder itself was named after its
Patient ID, and so were its files in the state folder. They are renamed, as their study was. So are
those of a study that a case list calls 010, which older versions took for 8. Each rename is atomic
and replaces nothing, so a start that was killed is completed by the next one.
"""

import json
import logging
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from zeus_app.errors import InputError
from zeus_app.server.studies.catalogue import Catalogue
from zeus_app.storage.atomic import remove_half_written, write_text_atomically
from zeus_app.storage.state import folder_name
from zeus_app.training.pseudonymise import pseudonymise_trainings

logger = logging.getLogger(__name__)
_OTHER_FOLDERS = ("cache", "sessions", "logs")  # of no target


def bring_up_to_date(root: Path, catalogue: Catalogue) -> None:
    """Sweep a state folder, and take patients' names out of it.

    Args:
        root: the state folder.
        catalogue: its studies, with their former ids.

    Raises:
        InputError: a file cannot be renamed or written.
    """
    pseudonyms, studies = catalogue.pseudonyms, catalogue.studies
    # Of several studies with one former id, nobody knows whose labels it has: they go to none.
    new_ids = {
        old: next(iter(now)) if len(now) == 1 else pseudonyms.of(old)
        for old, now in catalogue.former.ids.items()
    }
    patients = {old: studies[new].patient for old, new in new_ids.items() if new in studies}
    of_others = {files.patient for files in studies.values()}
    patients |= {
        pseudonym: patient
        for old, patient in patients.items()
        if (pseudonym := pseudonyms.of(old)) not in of_others
    }
    try:
        remove_half_written(root, skip=_OTHER_FOLDERS)
        moved = 0
        for old, new in new_ids.items():
            moved += _rename_study(root, old, new)
            moved += _rename_study(root, old, pseudonyms.of(old))  # what found its new name taken
            moved += _rename_cut_clicks(root, old, new, studies)
        pseudonymise_trainings(
            root, lambda patient: patients.get(patient) or pseudonyms.of(patient), new_ids
        )
    except OSError as error:
        raise InputError(
            f"the state folder cannot be brought up to date: {error.strerror}",
            expected="a state folder that Zeus may write, with room for a few files",
            remedy="make the state folder writable, or free disk space, and start again",
        ) from error
    if moved:
        logger.info("Zeus: %d files and folders of former study ids are renamed", moved)


def _rename_study(root: Path, old: str, new: str) -> int:
    """Rename the files of a study where the new name is free; returns how many."""
    moves = [
        (path, target)
        for path, target in _moves(root, folder_name(old), folder_name(new))
        if not target.exists()
    ]
    for path, _ in moves:
        _rename_inside(path, old, new)
    renamed = _rename(moves)
    for copy in list(_copies(root, folder_name(old))):
        copy.unlink(missing_ok=True)
    return renamed


def _rename_cut_clicks(root: Path, old: str, new: str, studies: Container[str]) -> int:
    """Rename clicks that version 0.2.0 stored without the id's last part, from the dot on.

    Studies shared such a file. It stays as it is if one of the present studies has its name.
    """
    cut, dot, _ = folder_name(old).rpartition(".")
    if not dot or not cut or unquote(cut) in studies:
        return 0
    moves = [
        (path, path.with_name(f"{folder_name(new)}.json"))
        for target in _targets(root)
        for path in target.glob(f"clicks/*/{cut}.json")
    ]
    return _rename(moves)


def _rename(moves: Iterable[tuple[Path, Path]]) -> int:
    """Rename each path whose new name is free; returns how many."""
    renamed = 0
    for path, target in moves:
        if target.exists():
            continue
        with suppress(FileNotFoundError):  # another server has just renamed it
            path.rename(target)
            renamed += 1
    return renamed


def _moves(root: Path, name: str, now: str) -> Iterator[tuple[Path, Path]]:
    """Labels, predictions, clicks and notes of a study, each with its new path."""
    for target in _targets(root):
        for pattern in ("labels/*/", "*/originals/", "clicks/*/"):
            for path in target.glob(pattern + name):
                yield path, path.with_name(now)
        for pattern in ("clicks/*/", "info/", "info/strategies/"):
            for path in target.glob(f"{pattern}{name}.json"):
                yield path, path.with_name(f"{now}.json")
        for path in target.glob(f"*/originals/.removed-*-{name}"):
            prefix = path.name.removesuffix(name)
            if prefix.removeprefix(".removed-").rstrip("-").isdecimal():
                yield path, path.with_name(prefix + now)


def _copies(root: Path, name: str) -> Iterator[Path]:
    """Copies of volumes, labels and data sets, which are made again when a client asks."""
    for target in _targets(root):
        for pattern in (f"{name}_*", f"labels/{name}_*", "dataset.zip"):
            yield from (path for path in target.glob(f"volumes/{pattern}") if path.is_file())


def _targets(root: Path) -> Iterator[Path]:
    paths = sorted(root.iterdir()) if root.is_dir() else ()
    yield from (path for path in paths if path.is_dir() and path.name not in _OTHER_FOLDERS)


def _rename_inside(folder: Path, old: str, new: str) -> None:
    """Replace the study's id in the JSON files of a label or a prediction, before the rename."""
    changed = {old: new, f"{old}.nii.gz": f"{new}.nii.gz"}
    for path in folder.rglob("*.json"):
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue  # damaged; whoever reads it says so
        if not isinstance(content, dict):
            continue
        renewed = {
            key: changed.get(value, value) if isinstance(value, str) else value
            for key, value in content.items()
        }
        if renewed != content:
            write_text_atomically(path, json.dumps(renewed, indent=1))
