"""A studies folder becomes studies. Only names and headers are read.

What each folder is taken for, in this order:

1. The root holds cases.json, cases.yaml or cases.yml: that list, and nothing else, counts.
2. A folder with dataset.json and imagesTr or imagesTs: a Decathlon or nnU-Net archive.
3. A folder with image files (NIfTI, MetaImage, NRRD): one study, or one a shared prefix.
4. Folders with DICOM files: examinations. DICOM below a folder whose image files are a study is
   that study's origin and not read again.

Folders named for masks (labels, seg), hidden folders, and BIDS derivatives are not looked into.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zeus_app.dicom.dicom_studies import SOURCE_FOLDERS, read_dicom_studies
from zeus_app.dicom.series import is_dicom
from zeus_app.errors import InputError
from zeus_app.studies.candidates import files_of
from zeus_app.studies.caselist import case_list, read_case_list
from zeus_app.studies.check import check_headers
from zeus_app.studies.folders import read_folder
from zeus_app.studies.msd import is_msd, read_msd
from zeus_app.studies.patients import patient_of
from zeus_app.targets import Target
from zeus_app.targets.naming import MASK_FOLDERS, Names, safe_id, words
from zeus_app.types import RejectedStudy, StudyCandidate, StudyFiles, StudyProblem
from zeus_app.volumes.sources import is_volume

_BIDS_ENTITY = re.compile(r"^(sub|ses)-")
_BIDS_NOT_ANATOMY = words("func dwi fmap perf meg eeg ieeg pet beh")
_BIDS_NO_SUBJECTS = words("derivatives sourcedata code stimuli")
_NEVER = words("__macosx @eadir lost+found")
_UNNAMED = SOURCE_FOLDERS | {"anat"}


@dataclass(frozen=True)
class Catalog:
    """What a studies folder holds: usable studies by id, and why the others are not."""

    studies: dict[str, StudyFiles]
    problems: tuple[StudyProblem, ...]


@dataclass
class Walk:
    """What has been seen so far on the way through the folders."""

    root: Path
    names: Names
    skip: frozenset[Path]
    seen: set[tuple[int, int]] = field(default_factory=set)
    found: list[StudyCandidate | RejectedStudy] = field(default_factory=list)
    dicom: list[Path] = field(default_factory=list)


def find_studies(root: Path, target: Target, *, skip: Collection[Path] = ()) -> Catalog:
    """Find every study below `root` that has a sequence the target wants.

    Args:
        root: the studies folder; it is only read.
        target: what to look for.
        skip: folders not to look into, such as the state folder.

    Raises:
        InputError: root is no folder.
    """
    studies: dict[str, StudyFiles] = {}
    problems: list[StudyProblem] = []
    for study_id, one in scan(root, target, skip=skip):
        if isinstance(one, StudyCandidate):
            order = [name for name in target.sequence_names if name in one.sources]
            sources = {name: one.sources[name] for name in order}
            studies[study_id] = StudyFiles(study_id, sources, patient_of(one, study_id, root))
        else:
            problems.append(StudyProblem(study_id, one.files, one.reason))
    return Catalog(studies, tuple(problems))


def scan(
    root: Path, target: Target, *, skip: Collection[Path] = ()
) -> list[tuple[str, StudyCandidate | RejectedStudy]]:
    """Everything found, with its id, sorted by it; ids of StudyCandidate are unique."""
    if not root.is_dir():
        raise InputError(
            f"studies folder {root} does not exist or is no folder",
            expected="a folder with studies",
            remedy="check the path; it is not created for you",
        )
    names = Names.of(target)
    listed = case_list(root)
    if listed is not None:
        found = read_case_list(listed, names)
    else:
        walk = Walk(root, names, frozenset(path.resolve() for path in skip))
        _visit(walk, root, inside_study=False)
        found = walk.found + read_dicom_studies(root, walk.dicom, names)
    found = [
        check_headers(one, target) if isinstance(one, StudyCandidate) else one for one in found
    ]
    return sorted(_with_ids(_without_false_alarms(found)), key=lambda pair: pair[0])


def _visit(walk: Walk, folder: Path, *, inside_study: bool) -> None:
    """Read one folder, then those in it. A folder reached twice (a link's loop) is read once."""
    try:
        status = folder.stat()
        children = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        walk.found.append(RejectedStudy(_name(walk, folder), folder, (folder,), str(error)))
        return
    if (status.st_dev, status.st_ino) in walk.seen or folder.resolve() in walk.skip:
        return
    walk.seen.add((status.st_dev, status.st_ino))
    is_root = folder == walk.root
    if is_msd(folder):
        walk.found += read_msd(folder, "" if is_root else _name(walk, folder), walk.names)
        return
    files = [path for path in children if not path.is_dir()]
    volumes = [path for path in files if is_volume(path)]
    here: list[StudyCandidate | RejectedStudy] = []
    if volumes:
        name = _name(walk, folder)
        here = read_folder(folder, name, volumes, walk.names, is_root=is_root)
        walk.found += here
    holds_study = any(isinstance(one, StudyCandidate) for one in here)
    dicom = [] if inside_study or holds_study else [p for p in files if is_dicom(p)]
    walk.dicom += dicom
    below = list(_to_visit(folder, children, inside_study or holds_study))
    for child in below:
        _visit(walk, child, inside_study=inside_study or (holds_study and not is_root))
    if not (is_root or inside_study or volumes or dicom or below):
        reason = "holds no image that can be read" if files else "is an empty folder"
        walk.found.append(
            RejectedStudy(_name(walk, folder), folder, (folder,), f"{folder} {reason}")
        )


def _to_visit(folder: Path, children: list[Path], inside_study: bool) -> Iterator[Path]:
    """The folders in this one that may hold studies of their own."""
    folders = [path for path in children if path.is_dir()]
    is_bids = any(_BIDS_ENTITY.match(path.name) for path in folders)
    in_bids = _BIDS_ENTITY.match(folder.name) is not None
    for path in folders:
        name = path.name.lower()
        skipped = (
            name in MASK_FOLDERS
            or name in _NEVER
            or (inside_study and name in SOURCE_FOLDERS)
            or (in_bids and name in _BIDS_NOT_ANATOMY)
            or (is_bids and name in _BIDS_NO_SUBJECTS)
        )
        if not skipped:
            yield path


def _name(walk: Walk, folder: Path) -> str:
    """A study's name from its folder: the way from the root, without what names no study."""
    parts = folder.relative_to(walk.root).parts
    return "_".join(part for part in parts if part.lower() not in _UNNAMED) or folder.name


def _without_false_alarms(
    found: list[StudyCandidate | RejectedStudy],
) -> list[StudyCandidate | RejectedStudy]:
    """Drop reports of masks beside or above the folder of a study."""
    holding = {
        parent
        for one in found
        if isinstance(one, StudyCandidate)
        for parent in (one.folder, *one.folder.parents)
    }
    return [
        one
        for one in found
        if isinstance(one, StudyCandidate) or not (one.only_masks and one.folder in holding)
    ]


def _with_ids(
    found: list[StudyCandidate | RejectedStudy],
) -> Iterator[tuple[str, StudyCandidate | RejectedStudy]]:
    """Give each an id, which its own name alone tells.

    Of two studies of one id neither gets it: it is not known whose labels lie under it.
    """
    groups: dict[str, list[StudyCandidate | RejectedStudy]] = defaultdict(list)
    for one in found:
        groups[safe_id(one.name)].append(one)
    for study_id, group in groups.items():
        studies = [one for one in group if isinstance(one, StudyCandidate)]
        for one in group:
            if isinstance(one, RejectedStudy) or len(studies) == 1:
                yield study_id, one
                continue
            others = ", ".join(str(other.folder) for other in studies if other is not one)
            reason = f"{one.folder}: another study is called {study_id} too ({others}). Rename it"
            yield study_id, RejectedStudy(one.name, one.folder, files_of(one.sources), reason)
