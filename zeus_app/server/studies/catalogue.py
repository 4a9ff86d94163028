"""The studies that the server knows, and the meaning of a client's image id.

An image id is `study`, `study/sequence`, or a DICOM UID (`dicom_ids.py`). Studies come from the
studies folder or from uploads. The files of a session, or of a single request, are a temporary
study: no id of a client names it.
"""

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from zeus_app.errors import InputError, PacsError
from zeus_app.server.studies.dicom_ids import DicomIds, image_of
from zeus_app.server.studies.left_out import LeftOutSequences, ReadGrids, problem_of
from zeus_app.server.studies.nifti_copies import ready_file, write_copy
from zeus_app.server.studies.refusals import (
    file_is_gone,
    refuse_taken,
    unknown_study,
    unusable_study,
)
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.studies.upload_files import (
    refuse_unsafe,
    sequence_of,
    upload_name,
    uploaded_id,
    uploaded_study,
    with_uploads,
)
from zeus_app.storage.atomic import write_atomically
from zeus_app.storage.file_lock import file_lock
from zeus_app.storage.pseudonyms import Pseudonyms
from zeus_app.storage.state import StateFolder, folder_name
from zeus_app.studies.candidates import source_of
from zeus_app.studies.find import Catalog, find_studies
from zeus_app.studies.former_ids import FormerIds
from zeus_app.studies.read import (
    none_usable,
    read_one_file,
    read_sequences,
    reason_of,
    without,
)
from zeus_app.studies.uploads import check_images
from zeus_app.studies.versions import version_of
from zeus_app.targets import Target
from zeus_app.types import Grid, Study, StudyFiles, StudyProblem
from zeus_app.volumes.sources import is_volume, stem
from zeus_app.volumes.uploads import MAX_VOXELS, check_upload

logger = logging.getLogger(__name__)


class Catalogue:
    """The studies of a folder and the uploads. Reads nothing before `refresh`.

    The patient of every study that leaves the catalogue is a pseudonym.

    Attributes:
        former: what earlier versions called studies. A former id still names its study, or the
            sequence that it was.
        place: where the studies are, for users.
        orphan_remedy: what to do about labels whose study is not here.
    """

    place = "studies folder"
    orphan_remedy = (
        "Give the study its old name back, or rename this folder to the study's new name"
    )

    def __init__(
        self, folder: Path, target: Target, state: StateFolder, *, max_voxels: int = MAX_VOXELS
    ) -> None:
        self._folder = folder
        self._max_voxels = max_voxels
        self._target = target
        self._state, self._copies = state, state.volumes
        self._lock = threading.Lock()
        self._studies: dict[str, StudyFiles] = {}
        self._problems: tuple[StudyProblem, ...] = ()
        self._found_problems: frozenset[StudyProblem] = frozenset()
        self._left_out = LeftOutSequences()
        self._read = ReadGrids()
        self._dicom_ids = DicomIds()
        self.former = FormerIds(folder, target, found=(), studies={}, known=())

    def refresh(self, *, stays: Callable[[StudyProblem], bool] = lambda _: False) -> None:
        """Look for studies and uploads again.

        Args:
            stays: whether one of `read_problems` stays a problem: its files are as they were.
        """
        before = self._studies
        found = with_uploads(
            self._find(), self._state.uploads, self._target, max_voxels=self._max_voxels
        )
        studies, problems = self._usable(found)
        with self._lock:
            # Other requests may have added, removed or read studies meanwhile.
            gone = before.keys() - self._studies.keys()
            added = {name: files for name, files in self._studies.items() if name not in before}
            unread = [p for p in self.read_problems if p.id in studies]
            unread = [p for p in unread if p.id in gone or stays(p)]
            left_out = gone.union(problem.id for problem in unread)
            self._studies = added | {n: f for n, f in studies.items() if n not in left_out}
            self._problems = (*problems, *unread)
            self._found_problems = frozenset(problems)
        self.former = found.former

    def _find(self) -> Catalog:
        """The studies without the uploads."""
        return find_studies(self._folder, self._target, skip=(self._state.root,))

    def _usable(self, found: Catalog) -> tuple[dict[str, StudyFiles], list[StudyProblem]]:
        """The studies without the sequences that could not be read, and all problems."""
        studies, problems = {}, list(found.problems)
        for name, files in found.studies.items():
            usable = self._left_out.applied_to(files)
            if usable.sources or not files.sources:  # one of a PACS that was not opened yet
                studies[name] = self._private(usable)
            else:
                problems.append(problem_of(files, usable))
        return studies, problems

    @property
    def read_problems(self) -> tuple[StudyProblem, ...]:
        """The problems that showed when the study was read, and not when it was found."""
        return tuple(p for p in self._problems if p not in self._found_problems)

    @property
    def studies(self) -> dict[str, StudyFiles]:
        """Study id -> files, for every listed study that can be used."""
        return dict(self._studies)

    @property
    def problems(self) -> tuple[StudyProblem, ...]:
        """The studies that cannot be used, with the reasons."""
        return self._problems

    def resolve(self, image_id: str) -> ResolvedImage:
        """Resolve an image id: `study`, `study/sequence`, `study/series`, or a DICOM UID alone.

        Raises:
            InputError: the study exists but cannot be used, or several studies have this UID.
            UnknownNameError: there is no such study, or the study has no such image.
        """
        study, image = self._parts(image_id)
        for problem in self._problems:
            if problem.id == study and study not in self._studies:
                raise unusable_study(study, problem.reason)
        if study not in self._studies:
            raise unknown_study(image_id, self._studies)
        files = self._opened(study)
        whole = ResolvedImage(files, self._reference(files), whole=True, is_temporary=False)
        return replace(whole.showing(image_of(files, image)), whole=False) if image else whole

    def study_of(self, image_id: str) -> str:
        """The study that an image id names. No study of a PACS is opened for its own id.

        Raises:
            InputError, UnknownNameError: see `resolve`.
        """
        study, image = self._parts(image_id)
        return study if study in self._studies and not image else self.resolve(image_id).study

    def _opened(self, study: str) -> StudyFiles:
        """The files of a listed study, with its sources."""
        return self._studies[study]

    def _parts(self, image_id: str) -> tuple[str, str]:
        """The study and the image that an image id names; no image if it names the study."""
        study, _, image = image_id.rpartition("/")
        for name, rest in ((image_id, ""), (study, image)):
            if name in self._studies:
                return name, rest
            now = self.former.ids.get(name, frozenset())
            if len(now) == 1:
                return next(iter(now)), rest or self.former.sequences.get(name, "")
            if named := self._dicom_ids.find(name, self._studies):
                return named[0], rest or named[1]
        return image_id, ""

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """The patients' pseudonyms."""
        return Pseudonyms.of_folder(self._state.root)

    def _private(self, files: StudyFiles) -> StudyFiles:
        """The same study, with a pseudonym for its patient."""
        return replace(files, patient=self.pseudonyms.of(files.patient))

    def temporary_study(self, path: Path, study_id: str = "") -> ResolvedImage:
        """Resolve the file, or the folder of one study, that came with a request or a session.

        The study is not listed, and no image id of a client names it.

        Args:
            path: the file or folder.
            study_id: the study's id; a new unique one if empty.

        Raises:
            InputError: the path does not exist, an image is too large or leads elsewhere, or the
                folder does not hold exactly one study.
        """
        check_images(path, max_voxels=self._max_voxels)
        files = read_one_file(path, self._target, study_id or f"temporary-{uuid.uuid4().hex}")
        private = self._private(files)
        return ResolvedImage(private, self._reference(files), whole=True, is_temporary=True)

    def _reference(self, files: StudyFiles) -> str:
        return self._target.reference_of(tuple(files.sources))

    def grid(self, resolved: ResolvedImage) -> Grid:
        """The grid that the client sees. Only headers are read: a label fits whatever the voxels.

        Raises:
            InputError: the header cannot be read; the study goes on without this sequence.
        """
        with self._leaving_out(resolved):
            return self._read.grid(resolved.shown, resolved.source)

    def usable(self, resolved: ResolvedImage) -> ResolvedImage:
        """The same image after its voxels were read, once for each version of its files.

        A study whose reference cannot be used is seen through its next reference. A series that is
        no sequence gives its grid alone, so its voxels are not read.

        Raises:
            InputError: the image cannot be used. The study goes on without it, or is a problem.
        """
        if resolved.series:
            self.grid(resolved)
            return resolved
        while True:
            try:
                with self._leaving_out(resolved):
                    self._read.check(resolved.sequence, resolved.source)
                return resolved
            except PacsError:
                raise
            except InputError as error:
                reason = reason_of(error, resolved.source)
                rest = without(resolved.files, {resolved.sequence: reason})
                if not resolved.whole or not rest.sources:
                    raise
                resolved = replace(resolved, files=rest, sequence=self._reference(rest))

    def fetch(self, resolved: ResolvedImage) -> None:
        """Bring the files of a study onto this machine's disk. Those of a folder are there."""

    def read(self, resolved: ResolvedImage) -> Study:
        """Read the sequences of a study that can be used. The study goes on without the others.

        Raises:
            InputError: no sequence can be used. The study is a problem until its files change.
        """
        began_ns = time.time_ns()
        study, errors = read_sequences(resolved.files)
        self._leave_out(resolved, study.left_out, since_ns=began_ns)
        if not study.volumes:
            raise none_usable(resolved.files, errors)
        return study

    def changed_since_left_out(self) -> bool:
        """Whether files have changed of sequences that could not be used."""
        return self._left_out.changed()

    def forget_left_out(self) -> None:
        """Give the sequences that could not be used another chance at the next `refresh`."""
        self._left_out.forget()

    @contextmanager
    def _leaving_out(self, resolved: ResolvedImage) -> Iterator[None]:
        """Leave the seen sequence out if reading it raises: some faults show in voxels alone."""
        began_ns = time.time_ns()
        try:
            try:
                yield
            except FileNotFoundError as error:
                raise file_is_gone(error) from error
        except PacsError:
            raise  # it says nothing about the study
        except InputError as error:
            logger.warning("%s of study %s: %s", resolved.shown, resolved.study, error)
            if not resolved.series:
                reason = reason_of(error, resolved.source)
                self._leave_out(resolved, {resolved.sequence: reason}, since_ns=began_ns)
            raise

    def _leave_out(
        self, resolved: ResolvedImage, reasons: Mapping[str, str], *, since_ns: int
    ) -> None:
        """List sequences of a study as unused; without a usable one the study is a problem.

        Args:
            resolved: an image of the study.
            reasons: sequence name -> why it cannot be used.
            since_ns: when their reading began, in nanoseconds since 1970.
        """
        if resolved.is_temporary or not reasons:
            return
        self._left_out.add(resolved.files, reasons, since_ns=since_ns)
        with self._lock:
            listed = self._studies.get(resolved.study)
            if listed is None:
                return
            rest = without(listed, reasons)
            if rest.sources:
                self._studies = {**self._studies, resolved.study: rest}
                return
            self._studies = _without(self._studies, resolved.study)
            problem = problem_of(listed, rest)
            self._problems = (*self._problems, problem)
        logger.warning("study %s cannot be used: %s", problem.id, problem.reason)

    def volume_file(self, resolved: ResolvedImage) -> Path:
        """A NIfTI file for the client: the original file, or a NIfTI copy where that is needed.

        Raises:
            InputError: the sequence cannot be read, or ITK cannot represent its grid.
        """
        resolved = self.usable(resolved)
        name = f"{folder_name(resolved.study)}_{folder_name(resolved.shown)}.nii.gz"
        copy = self._copies / name
        with self._leaving_out(resolved):
            version = version_of(resolved.source)
            if ready := ready_file(resolved.source, copy, version):
                return ready
            volume = resolved.source.load()
        return write_copy(copy, volume, version)

    def add(self, image_id: str, file: Path) -> str:
        """Save an uploaded file as a study of one sequence.

        The sequence is found in the file's name, else in the id; else it is the target's reference.

        Returns:
            the study's id.

        Raises:
            InputError: the id is unsafe or taken, or the file cannot be read. Nothing is saved.
        """
        name = stem(Path(image_id)) if is_volume(Path(image_id)) else image_id
        refuse_unsafe(image_id, name)
        self._refuse_taken(name)
        check_upload(file, max_voxels=self._max_voxels)
        source_of(file).load()  # some faults show in voxels alone
        sequence = sequence_of(file, name, self._target)
        path = self._state.uploads / upload_name(name, sequence, file)
        with self._lock, file_lock(self._state.uploads / ".lock"):
            self._refuse_taken(name)
            write_atomically(path, partial(shutil.copyfile, file))
            study = uploaded_study(path, self._target)
            self._studies = {**self._studies, study.id: self._private(study)}
        return name

    def _refuse_taken(self, name: str) -> None:
        """Refuse the id of another study, or of an upload to another server with this state."""
        problems = (problem.id for problem in self._problems)
        uploads = map(uploaded_id, self._state.uploads.glob("*"))
        refuse_taken(name, {*self._studies, *problems, *self.former.ids, *uploads})

    def remove(self, image_id: str) -> str:
        """Take an upload off the list and move its file to uploads/removed/.

        Returns:
            the study's id.

        Raises:
            InputError: the study is in the studies folder, which Zeus never changes.
        """
        resolved = self.resolve(image_id)
        paths = [path for path in resolved.source.files if path.parent == self._state.uploads]
        if not paths:
            raise InputError(
                f"study {resolved.study!r} is in the {self.place}",
                expected="the id of an image that a client uploaded",
                remedy=f"take it out of the {self.place} yourself; Zeus changes nothing there",
            )
        with self._lock:
            for path in paths:
                removed = path.parent / "removed"
                removed.mkdir(exist_ok=True)
                path.rename(removed / f"{int(time.time())}-{path.name}")
            self._studies = _without(self._studies, resolved.study)
        return resolved.study


def _without(studies: dict[str, StudyFiles], study: str) -> dict[str, StudyFiles]:
    return {name: files for name, files in studies.items() if name != study}
