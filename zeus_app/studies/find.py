"""Find the studies in a studies folder. Only names and headers are read.

A folder is read as the first of these that fits:

1. The root has cases.json, cases.yaml or cases.yml: only the studies in this list are used.
2. A folder has dataset.json and imagesTr or imagesTs: an archive of MSD or nnU-Net.
3. A folder has image files (NIfTI, MetaImage, NRRD): one study, or one per prefix.
4. Folders have DICOM files: studies by StudyInstanceUID. DICOM files below a folder whose image
   files are a study are its originals and are ignored.

Folders for masks (labels, seg), hidden folders, and BIDS derivatives are not searched.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
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
_SYSTEM_FOLDERS = words("__macosx @eadir lost+found")
_UNNAMED = SOURCE_FOLDERS | {"anat"}


@dataclass(frozen=True)
class Catalog:
    """The content of a studies folder.

    Attributes:
        studies: usable studies by id.
        problems: the other studies.
        former_ids: id that version 0.2.0 gave to studies -> their ids now; see `StudyCandidate`.
    """

    studies: dict[str, StudyFiles]
    problems: tuple[StudyProblem, ...]
    former_ids: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)


@dataclass
class Walk:
    """State of one search through the folders.

    Attributes:
        root: the studies folder.
        names: the target's aliases.
        skip: folders that are not searched.
        seen: device and inode of each visited folder.
        studies: candidates and rejected studies so far.
        dicom: DICOM files so far.
    """

    root: Path
    names: Names
    skip: frozenset[Path]
    seen: set[tuple[int, int]] = field(default_factory=set)
    studies: list[StudyCandidate | RejectedStudy] = field(default_factory=list)
    dicom: list[Path] = field(default_factory=list)


def find_studies(root: Path, target: Target, *, skip: Collection[Path] = ()) -> Catalog:
    """Find every study below `root` with a sequence of the target.

    Args:
        root: the studies folder. Nothing is written to it.
        target: the sequences and their aliases.
        skip: folders that are not searched, such as the state folder.

    Raises:
        InputError: `root` is not a folder.
    """
    studies: dict[str, StudyFiles] = {}
    problems: list[StudyProblem] = []
    former: dict[str, set[str]] = defaultdict(set)
    for study_id, study in scan(root, target, skip=skip):
        if isinstance(study, StudyCandidate):
            order = [name for name in target.sequence_names if name in study.sources]
            sources = {name: study.sources[name] for name in order}
            studies[study_id] = StudyFiles(study_id, sources, patient_of(study, study_id, root))
        else:
            problems.append(StudyProblem(study_id, study.files, study.reason))
        if study.former_name:
            former[safe_id(study.former_name)].add(study_id)
    known = {*studies, *(problem.id for problem in problems)}
    former_ids = {old: frozenset(ids) for old, ids in former.items() if old not in known}
    return Catalog(studies, tuple(problems), former_ids)


def scan(
    root: Path, target: Target, *, skip: Collection[Path] = ()
) -> list[tuple[str, StudyCandidate | RejectedStudy]]:
    """All candidates and rejected studies, sorted by id. Ids of candidates are unique."""
    if not root.is_dir():
        raise InputError(
            f"studies folder {root} does not exist or is not a folder",
            expected="an existing folder with studies",
            remedy="check the path, for example with ls; Zeus does not create it",
        )
    names = Names.of(target)
    cases = case_list(root)
    if cases is not None:
        studies = read_case_list(cases, names)
    else:
        walk = Walk(root, names, frozenset(path.resolve() for path in skip))
        _visit(walk, root, inside_study=False)
        studies = walk.studies + read_dicom_studies(root, walk.dicom, names)
    studies = [
        check_headers(study, target) if isinstance(study, StudyCandidate) else study
        for study in studies
    ]
    return sorted(_with_ids(_without_false_alarms(studies)), key=lambda pair: pair[0])


def _visit(walk: Walk, folder: Path, *, inside_study: bool) -> None:
    """Read one folder and its subfolders. A folder that links reach twice is read once."""
    try:
        status = folder.stat()
        children = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        walk.studies.append(RejectedStudy(_name(walk, folder), folder, (folder,), str(error)))
        return
    if (status.st_dev, status.st_ino) in walk.seen or folder.resolve() in walk.skip:
        return
    walk.seen.add((status.st_dev, status.st_ino))
    is_root = folder == walk.root
    if is_msd(folder):
        walk.studies += read_msd(folder, "" if is_root else _name(walk, folder), walk.names)
        return
    files = [path for path in children if not path.is_dir()]
    volumes = [path for path in files if is_volume(path)]
    here: list[StudyCandidate | RejectedStudy] = []
    if volumes:
        name = _name(walk, folder)
        here = read_folder(folder, name, volumes, walk.names, is_root=is_root)
        walk.studies += here
    holds_study = any(isinstance(study, StudyCandidate) for study in here)
    dicom = [] if inside_study or holds_study else [p for p in files if is_dicom(p)]
    walk.dicom += dicom
    subfolders = list(_to_visit(folder, children, inside_study or holds_study))
    for child in subfolders:
        _visit(walk, child, inside_study=inside_study or (holds_study and not is_root))
    if not (is_root or inside_study or volumes or dicom or subfolders):
        reason = "holds no readable image" if files else "is an empty folder"
        walk.studies.append(
            RejectedStudy(_name(walk, folder), folder, (folder,), f"{folder} {reason}")
        )


def _to_visit(folder: Path, children: list[Path], inside_study: bool) -> Iterator[Path]:
    """The subfolders that may hold studies."""
    folders = [path for path in children if path.is_dir()]
    is_bids = any(_BIDS_ENTITY.match(path.name) for path in folders)
    in_bids = _BIDS_ENTITY.match(folder.name) is not None
    for path in folders:
        name = path.name.lower()
        is_skipped = (
            name in MASK_FOLDERS
            or name in _SYSTEM_FOLDERS
            or (inside_study and name in SOURCE_FOLDERS)
            or (in_bids and name in _BIDS_NOT_ANATOMY)
            or (is_bids and name in _BIDS_NO_SUBJECTS)
        )
        if not is_skipped:
            yield path


def _name(walk: Walk, folder: Path) -> str:
    """A study's name: the folders from the root to it, without `dicom`, `anat` and the like."""
    parts = folder.relative_to(walk.root).parts
    return "_".join(part for part in parts if part.lower() not in _UNNAMED) or folder.name


def _without_false_alarms(
    studies: list[StudyCandidate | RejectedStudy],
) -> list[StudyCandidate | RejectedStudy]:
    """Drop rejected studies that are masks in or above the folder of a study."""
    with_study = {
        parent
        for study in studies
        if isinstance(study, StudyCandidate)
        for parent in (study.folder, *study.folder.parents)
    }
    return [
        study
        for study in studies
        if isinstance(study, StudyCandidate)
        or not (study.only_masks and study.folder in with_study)
    ]


def _with_ids(
    studies: list[StudyCandidate | RejectedStudy],
) -> Iterator[tuple[str, StudyCandidate | RejectedStudy]]:
    """Give each study an id, made from its name.

    Several candidates with one id are all rejected: it is unknown whose labels the id has.
    """
    groups: dict[str, list[StudyCandidate | RejectedStudy]] = defaultdict(list)
    for study in studies:
        groups[safe_id(study.name)].append(study)
    for study_id, group in groups.items():
        candidates = [study for study in group if isinstance(study, StudyCandidate)]
        for study in group:
            if isinstance(study, RejectedStudy) or len(candidates) == 1:
                yield study_id, study
                continue
            others = ", ".join(str(other.folder) for other in candidates if other is not study)
            reason = f"{study.folder}: another study has the name {study_id} too ({others}). Rename"
            reason += " one of them"
            yield study_id, study.rejected(files_of(study.sources), reason)
