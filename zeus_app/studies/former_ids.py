"""What earlier versions called the studies and patients of a studies folder.

What was stored under a former name follows the files to the study that has them now.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.studies.caselist import case_list
from zeus_app.studies.former_dicom import FormerName, former_dicom_names
from zeus_app.studies.former_folders import FormerStudy, former_patient, former_studies
from zeus_app.studies.former_words import FormerWords
from zeus_app.studies.msd import is_msd
from zeus_app.studies.walk import study_name
from zeus_app.targets import Target
from zeus_app.targets.naming import MASK_FOLDERS, UNNAMED, ascii_part, plain_id
from zeus_app.types import RejectedStudy, StudyCandidate, StudyFiles

_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
"""Files that earlier versions read, apart from DICOM."""
Found = Sequence[tuple[str, StudyCandidate | RejectedStudy]]


@dataclass(frozen=True)
class FormerIds:
    """The former names of studies and patients. Each list is made when it is first asked for.

    Attributes:
        root: the studies folder.
        target: the target.
        found: all studies in the folder, with their ids.
        studies: the usable studies.
        known: all ids now, those of uploads included.
    """

    root: Path
    target: Target
    found: Found = field(repr=False)
    studies: Mapping[str, StudyFiles] = field(repr=False)
    known: Collection[str] = field(repr=False)

    @cached_property
    def ids(self) -> Mapping[str, frozenset[str]]:
        """Former id that no study has now -> the ids now of the studies that had it."""
        return {old: frozenset(now) for old, now in self._all.items() if old not in self.known}

    @cached_property
    def contested(self) -> Mapping[str, frozenset[str]]:
        """Id of a present study -> the ids now of other studies that had it."""
        others = {old: frozenset(now - {old}) for old, now in self._all.items()}
        return {old: now for old, now in others.items() if now and old in self.known}

    @cached_property
    def sequences(self) -> Mapping[str, str]:
        """Former id of one sequence -> the name of this sequence in its study now."""
        named: dict[str, str] = {}
        for old in self._image_studies:
            now = self.ids.get(old.id, frozenset())
            study = self.studies.get(next(iter(now))) if len(now) == 1 else None
            sources = study.sources if study else {}
            files = set(old.images.values())
            own = [name for name, source in sources.items() if not files.isdisjoint(source.files)]
            if len(own) == 1 and len(sources) > 1:
                named[old.id] = own[0]
        return named

    @cached_property
    def patients(self) -> Mapping[str, frozenset[str]]:
        """Former name of a patient -> the patient's names now. It may be a DICOM Patient ID."""
        found: dict[str, set[str]] = defaultdict(set)
        for old, study_id in self._former_patients():
            if study_id in self.studies:
                found[old].add(self.studies[study_id].patient)
        return {old: frozenset(now) for old, now in found.items() if now != {old}}

    @cached_property
    def patient_ids(self) -> frozenset[str]:
        """The former ids that may be DICOM Patient IDs."""
        of_dicom = (study for _, study in self.found if not any(map(_is_image, _files(study))))
        return frozenset(plain_id(name) for study in of_dicom for name in study.former_names)

    @cached_property
    def _all(self) -> Mapping[str, set[str]]:
        """Id of then -> the ids now, the same id included."""
        found: dict[str, set[str]] = defaultdict(set)
        for study_id, study in self.found:
            for name in (*study.former_names, study.name):
                found[plain_id(name)].add(study_id)
        for old in self._image_studies:
            found[old.id] |= self._now(old)
        for study_id, former in self._dicom_names.items():
            found[plain_id(former.name)].add(study_id)
        alone: dict[str, set[str]] = defaultdict(set)
        for study_id, former in self._dicom_names.items():
            alone[plain_id(former.alone)].add(study_id)
        found = defaultdict(set, alone | found)
        unnamed = [study_id for study_id, study in self.found if not ascii_part(study.name)]
        if len(unnamed) == 1:  # of several, none was usable under this id
            found[UNNAMED].add(unnamed[0])
        return found

    def _now(self, old: FormerStudy) -> set[str]:
        """The ids of the studies that have the images of a former study."""
        return {self._owners[path] for path in old.images.values() if path in self._owners}

    @cached_property
    def _image_studies(self) -> tuple[FormerStudy, ...]:
        if case_list(self.root) is not None:
            return ()
        words = FormerWords.of(self.target)
        folders: dict[Path, list[Path]] = defaultdict(list)
        for path in sorted(self._owners):
            folders[path.parent].append(path)
        return tuple(
            old
            for folder, files in folders.items()
            for old in former_studies(
                self.root, folder, study_name(self.root, folder), files, words
            )
        )

    @cached_property
    def _dicom_names(self) -> Mapping[str, FormerName]:
        if case_list(self.root) is not None:
            return {}
        of_dicom = {
            study_id: study
            for study_id, study in self.found
            if isinstance(study, StudyCandidate)
            and all(isinstance(one, DicomSeriesSource) for one in study.sources.values())
        }
        return former_dicom_names(self.root, of_dicom, FormerWords.of(self.target))

    @cached_property
    def _owners(self) -> Mapping[Path, str]:
        """Image file -> the id of its study; of the study that uses it, if there are several."""
        owners: dict[Path, str] = {}
        used: dict[Path, str] = {}
        for study_id, study in self.found:
            if isinstance(study, StudyCandidate) and study.patient:
                continue  # a list of cases, or DICOM: not read by folders
            images = [path for path in _files(study) if self._was_read(path)]
            owners |= dict.fromkeys(images, study_id)
            if isinstance(study, StudyCandidate):
                paths = (path for source in study.sources.values() for path in source.files)
                used |= dict.fromkeys(paths, study_id)
        return owners | {path: study_id for path, study_id in used.items() if path in owners}

    def _was_read(self, path: Path) -> bool:
        """Whether earlier versions took the file for an image of its folder."""
        is_archived = path.parent.name in {"imagesTr", "imagesTs"} and is_msd(path.parents[1])
        if is_archived or not _is_image(path):
            return False
        folders = {part.lower() for part in path.parent.relative_to(self.root).parts}
        return folders.isdisjoint(MASK_FOLDERS)

    def _former_patients(self) -> Iterator[tuple[str, str]]:
        """Former name of a patient, and the id of a study of it."""
        for old in self._image_studies:
            yield from ((old.patient, study_id) for study_id in self._now(old))
        for study_id, study in self.found:
            if isinstance(study, RejectedStudy) or any(map(_is_image, _files(study))):
                continue
            former = self._dicom_names.get(study_id)
            names = [former.name] if former else [*study.former_names, study.name]
            folder = former.folder if former else study.folder
            if not study.patient:
                for name in names:
                    yield former_patient(plain_id(name), folder, "", self.root), study_id
        for study_id, study in self.found:
            if isinstance(study, StudyCandidate) and study.patient == study.name:
                yield from ((name, study_id) for name in study.former_names)


def _files(study: StudyCandidate | RejectedStudy) -> Iterator[Path]:
    """All files of a study, those that are not used and the masks included."""
    if isinstance(study, RejectedStudy):
        yield from study.files
        return
    for source in study.sources.values():
        yield from source.files
    for unused in study.unused:
        yield from unused.files
    yield from study.masks


def _is_image(path: Path) -> bool:
    return path.name.lower().endswith(_SUFFIXES)
