"""Find the studies in a studies folder. Only names and headers are read.

A folder is read as the first of these that fits:

1. The root has cases.json, cases.yaml or cases.yml: only the studies in this list are used.
2. A folder has dataset.json and imagesTr or imagesTs: an archive of MSD or nnU-Net.
3. A folder has image files (NIfTI, MetaImage, NRRD): one study, or one per prefix. Files in a
   folder for each sequence are one study (`layout.py`).
4. Folders have DICOM files: studies by StudyInstanceUID. DICOM files below a folder whose image
   files are a study are its originals and are ignored.

Folders for masks (labels, seg), hidden folders, and BIDS derivatives are not searched.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from zeus_app.dicom.dicom_studies import read_dicom_studies
from zeus_app.errors import InputError
from zeus_app.settings.file_names import check_utf8, readable
from zeus_app.studies.candidates import files_of
from zeus_app.studies.caselist import case_list, read_case_list
from zeus_app.studies.check import check_headers
from zeus_app.studies.folders import read_folder
from zeus_app.studies.former_folders import former_studies
from zeus_app.studies.former_ids import FormerIds
from zeus_app.studies.former_words import FormerWords
from zeus_app.studies.layout import Entry, place_files
from zeus_app.studies.patients import Patients
from zeus_app.studies.unread import with_masks, with_skipped, with_unread
from zeus_app.studies.walk import Walk, identity, study_name, visit_all
from zeus_app.targets import Target
from zeus_app.targets.naming import Names, safe_id
from zeus_app.types import RejectedStudy, StudyCandidate, StudyFiles, StudyProblem

_MAX_REASON = 2000  # characters
_ORIGINALS = "DICOM files, taken for the originals of the image files of this study"


@dataclass(frozen=True)
class Catalog:
    """The content of a studies folder.

    Attributes:
        studies: usable studies by id.
        problems: the other studies.
        former: what earlier versions called the studies and patients.
    """

    studies: dict[str, StudyFiles]
    problems: tuple[StudyProblem, ...]
    former: FormerIds = field(repr=False)

    @property
    def former_ids(self) -> Mapping[str, frozenset[str]]:
        """Id that earlier versions gave to studies -> their ids now; see `FormerIds`."""
        return self.former.ids


def find_studies(
    root: Path, target: Target, *, skip: Collection[Path] = (), is_upload: bool = False
) -> Catalog:
    """Find every study below `root` with a sequence of the target.

    Args:
        root: the studies folder. Nothing is written to it.
        target: the sequences and their aliases.
        skip: folders that are not searched, such as the state folder.
        is_upload: the files come from a client. No list among them may name other files.

    Raises:
        InputError: `root` is not a folder, or its path is no UTF-8.
    """
    studies: dict[str, StudyFiles] = {}
    problems: list[StudyProblem] = []
    found = scan(root, target, skip=skip, is_upload=is_upload)
    patients = Patients.of_folders(root, [study.folder for _, study in found])
    for study_id, study in found:
        if isinstance(study, StudyCandidate):
            studies[study_id] = _files(study_id, study, target, patients)
        else:
            problems.append(StudyProblem(study_id, study.files, study.reason))
    known = {study_id for study_id, _ in found}
    former = FormerIds(root, target, found=found, studies=studies, known=known)
    return Catalog(studies, tuple(problems), former)


def _files(study_id: str, study: StudyCandidate, target: Target, patients: Patients) -> StudyFiles:
    order = [name for name in target.sequence_names if name in study.sources]
    return StudyFiles(
        study_id,
        {name: study.sources[name] for name in order},
        patients.of(study, study_id),
        evidence=study.evidence,
        unused=study.unused,
        masks=study.masks,
        study_uid=study.study_uid,
        series=study.series,
    )


def scan(
    root: Path,
    target: Target,
    *,
    skip: Collection[Path] = (),
    is_upload: bool = False,
    check: bool = True,
) -> list[tuple[str, StudyCandidate | RejectedStudy]]:
    """All candidates and rejected studies, sorted by id. Ids of candidates are unique.

    Without `check`, no header of an image file is read, and the search takes a third of the time.
    A study of damaged files then counts as usable.
    """
    check_utf8(root.absolute())
    if not os.path.isdir(root):
        raise InputError(
            f"studies folder {root} does not exist or is not a folder",
            expected="an existing folder with studies",
            remedy="check the path, for example with ls; Zeus does not create it",
        )
    names = Names.of(target)
    cases = None if is_upload else case_list(root)
    if cases is not None:
        studies = read_case_list(cases, names)
    else:
        skipped = {identity(path) for path in skip if os.path.isdir(path)}
        walk = Walk(root, names, is_upload, skipped)
        visit_all(walk)
        studies = _studies_of(walk)
    if check:
        studies = [_checked(study, target) for study in studies]
    return sorted(_with_ids(_without_false_alarms(studies)), key=lambda pair: pair[0])


def _studies_of(walk: Walk) -> list[StudyCandidate | RejectedStudy]:
    """The studies of all files that a search came by."""
    studies = list(walk.studies)
    for folder, entries in place_files(walk.root, walk.volumes, walk.names).items():
        name = study_name(walk.root, folder)
        is_root = folder == walk.root
        found = read_folder(folder, name, entries, walk.names, is_root=is_root)
        studies += [_with_former_names(study, entries, walk) for study in found]
    with_images = {study.folder for study in studies if isinstance(study, StudyCandidate)}
    below = with_images - {walk.root}
    originals = {f for f in walk.dicom if f in with_images or below.intersection(f.parents)}
    dicom = [
        path for folder in walk.dicom if folder not in originals for path in walk.dicom[folder]
    ]
    studies += read_dicom_studies(walk.root, dicom, walk.names)
    skipped = {**walk.skipped, **dict.fromkeys(originals, _ORIGINALS)}
    studies = with_masks(studies, walk.masks, walk.root)
    studies = with_skipped(studies, skipped, walk.root)
    return with_unread(studies, walk.unread, walk.root)


def _with_former_names(
    study: StudyCandidate | RejectedStudy, entries: Sequence[Entry], walk: Walk
) -> StudyCandidate | RejectedStudy:
    """The study with the ids that earlier versions gave to its files: each folder was a study."""
    files = set(files_of(study.sources) if isinstance(study, StudyCandidate) else study.files)
    words = FormerWords.of(walk.names.target)
    moved = dict.fromkeys(e.path.parent for e in entries if e.is_moved and e.path in files)
    former = [
        old.id
        for folder in moved
        for old in former_studies(
            walk.root, folder, study_name(walk.root, folder), walk.volumes[folder], words
        )
        if not files.isdisjoint(old.images.values())
    ]
    return replace(study, former_names=(*study.former_names, *former))


def _checked(
    study: StudyCandidate | RejectedStudy, target: Target
) -> StudyCandidate | RejectedStudy:
    """The study, if its files can be used; else the reason, as every client can show it."""
    if isinstance(study, StudyCandidate):
        study = check_headers(study, target)
    if isinstance(study, StudyCandidate):
        return study
    reason = readable(study.reason)
    if len(reason) > _MAX_REASON:
        reason = f"{reason[:_MAX_REASON]} ..."
    return replace(study, name=readable(study.name), reason=reason)


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
