"""Walk through the folders of a studies folder and collect their files. Nothing is read but names.

Folders for masks (labels, seg), hidden folders, and BIDS derivatives are not searched.
"""

import re
import stat
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from zeus_app.dicom.dicom_studies import SOURCE_FOLDERS
from zeus_app.dicom.series import is_dicom
from zeus_app.recognition.words import word_set
from zeus_app.studies.msd import is_msd, read_msd
from zeus_app.targets.naming import MASK_FOLDERS, Names
from zeus_app.types import RejectedStudy, StudyCandidate
from zeus_app.volumes.formats import unread_format
from zeus_app.volumes.sources import is_volume, stem

_BIDS_ENTITY = re.compile(r"^(sub|ses)-")
_BIDS_NOT_ANATOMY = word_set("func dwi fmap perf meg eeg ieeg pet beh")
_BIDS_NO_SUBJECTS = word_set("derivatives sourcedata code stimuli")
_SYSTEM_FOLDERS = word_set("__macosx @eadir lost+found")
_UNNAMED = SOURCE_FOLDERS | {"anat"}


@dataclass
class Walk:
    """State of one search through the folders.

    Attributes:
        root: the studies folder.
        names: the target's aliases.
        is_upload: see `find_studies`.
        seen: device and inode of each folder that is not visited, or not again.
        studies: candidates and rejected studies so far.
        volumes: folder -> its image files, so far.
        dicom: folder -> its DICOM files, so far.
        unread: image file in another format -> what to do with it, so far.
        masks: image files in folders for masks, so far.
        skipped: folder that is not searched -> the reason, so far.
    """

    root: Path
    names: Names
    is_upload: bool
    seen: set[tuple[int, int]]
    studies: list[StudyCandidate | RejectedStudy] = field(default_factory=list)
    volumes: dict[Path, list[Path]] = field(default_factory=dict)
    dicom: dict[Path, list[Path]] = field(default_factory=dict)
    unread: dict[Path, str] = field(default_factory=dict)
    masks: list[Path] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)


def visit_all(walk: Walk) -> None:
    """Look into the root and its subfolders, however deep they are nested."""
    pending = [(walk.root, False)]
    while pending:
        folder, inside_study = pending.pop()
        try:
            subfolders = _visit(walk, folder, inside_study=inside_study)
        except OSError as error:
            reason = f"{folder} cannot be read: {error.strerror}"
            walk.studies.append(
                RejectedStudy(study_name(walk.root, folder), folder, (folder,), reason)
            )
        else:
            pending += reversed(subfolders)


def _visit(walk: Walk, folder: Path, *, inside_study: bool) -> list[tuple[Path, bool]]:
    """Read one folder. A folder that links reach twice is read once.

    Returns:
        The subfolders to visit, and whether each lies inside a study.

    Raises:
        OSError: the folder cannot be read.
    """
    if identity(folder) in walk.seen:
        return []
    walk.seen.add(identity(folder))
    children = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    is_root = folder == walk.root
    if not walk.is_upload and is_msd(folder):
        walk.studies += read_msd(
            folder, "" if is_root else study_name(walk.root, folder), walk.names
        )
        return []
    types = {path: _type(path) for path in children}
    files = [path for path, kind in types.items() if kind in (stat.S_IFREG, 0)]
    volumes = [path for path in files if is_volume(path)]
    if volumes:
        walk.volumes[folder] = volumes
    holds_study = any(is_image(path, walk.names) for path in volumes)
    others = [path for path in files if path not in volumes]
    dicom = [] if inside_study or holds_study else [path for path in others if is_dicom(path)]
    if dicom:
        walk.dicom[folder] = dicom
    unread = {path: reason for path in others if (reason := _unread(path, dicom))}
    walk.unread.update(unread)
    folders = [path for path, kind in types.items() if kind == stat.S_IFDIR]
    subfolders = _to_visit(walk, folder, folders, inside_study or holds_study)
    walk.masks += _mask_files(folders)
    if not (is_root or inside_study or volumes or dicom or subfolders or unread):
        walk.studies.append(_without_images(walk, folder, files, folders))
    return [(child, inside_study or (holds_study and not is_root)) for child in subfolders]


def _mask_files(folders: Collection[Path]) -> list[Path]:
    """The image files of the folders for masks. One that cannot be listed has none."""
    files: list[Path] = []
    for folder in folders:
        if folder.name.lower() in MASK_FOLDERS:
            with suppress(OSError):
                files += sorted(path for path in folder.iterdir() if is_volume(path))
    return files


def is_image(path: Path, names: Names) -> bool:
    """Whether a file's name is that of a sequence of the target."""
    name = names.read(stem(path))
    return bool(names.sequences(name)) and not name.is_mask


def _unread(path: Path, dicom: Collection[Path]) -> str | None:
    """Why an image file is in a format that Zeus does not read; None for all other files."""
    return None if path in dicom else unread_format(path)


def _without_images(
    walk: Walk, folder: Path, files: Collection[Path], folders: Collection[Path]
) -> RejectedStudy:
    """A folder without images. If it holds only folders for masks, that may be right."""
    reason = "is an empty folder"
    if files:
        reason = "holds no readable image"
    elif folders:
        reason = f"holds no anatomical images: only {', '.join(path.name for path in folders)}"
    only_masks = bool(folders) and all(path.name.lower() in MASK_FOLDERS for path in folders)
    name = study_name(walk.root, folder)
    return RejectedStudy(name, folder, (folder,), f"{folder} {reason}", only_masks=only_masks)


def identity(folder: Path) -> tuple[int, int]:
    """Device and inode."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _type(path: Path) -> int:
    """The type of a file, as in `stat`; 0 for a link to nothing, which its reader reports."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return 0


def _to_visit(walk: Walk, folder: Path, folders: Sequence[Path], inside_study: bool) -> list[Path]:
    """The subfolders that may hold studies. The others are noted, but for masks and the system."""
    is_bids = any(_BIDS_ENTITY.match(path.name) for path in folders)
    in_bids = _BIDS_ENTITY.match(folder.name) is not None
    chosen = []
    for path in folders:
        name = path.name.lower()
        if name in MASK_FOLDERS or name in _SYSTEM_FOLDERS:
            continue
        if inside_study and name in SOURCE_FOLDERS:
            walk.skipped[path] = "not searched: originals of the images beside it"
        elif in_bids and name in _BIDS_NOT_ANATOMY:
            walk.skipped[path] = "not searched: no anatomical images"
        elif is_bids and name in _BIDS_NO_SUBJECTS:
            walk.skipped[path] = "not searched: no images of subjects"
        else:
            chosen.append(path)
    return chosen


def study_name(root: Path, folder: Path) -> str:
    """A study's name: the folders from the root to it, without `dicom`, `anat` and the like."""
    parts = folder.relative_to(root).parts
    return "_".join(part for part in parts if part.lower() not in _UNNAMED) or folder.name
