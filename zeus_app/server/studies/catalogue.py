"""The studies that the server knows, and the meaning of a client's image id.

An image id is `study` or `study/sequence`. Studies come from the studies folder or from uploads.
The files of a session, or of a single request, are a temporary study: no id of a client names it.
"""

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.studies.nifti_copies import ready_file, versions, write_copy
from zeus_app.server.studies.upload_files import (
    refuse_unsafe,
    upload_name,
    uploaded_id,
    uploaded_study,
)
from zeus_app.settings.registry import lookup
from zeus_app.storage.atomic import write_atomically
from zeus_app.storage.file_lock import file_lock
from zeus_app.storage.pseudonyms import Pseudonyms
from zeus_app.storage.state import StateFolder, folder_name
from zeus_app.studies.candidates import files_of, source_of
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_one_file, read_study, sequence_from_name
from zeus_app.studies.uploads import check_images
from zeus_app.targets import Target
from zeus_app.types import Grid, Study, StudyFiles, StudyProblem, VolumeSource
from zeus_app.volumes.sources import is_volume, stem
from zeus_app.volumes.uploads import MAX_VOXELS, check_upload

logger = logging.getLogger(__name__)
MAX_GRIDS = 4096  # kept in memory


@dataclass(frozen=True)
class ResolvedImage:
    """The study and sequence that an image id names.

    Attributes:
        files: the files of the whole study.
        sequence: the sequence whose grid the client sees: the named one, or the reference.
        whole: True if the id named the study, False if it named one sequence.
        is_temporary: True for the files of a session or of a single request.
    """

    files: StudyFiles
    sequence: str
    whole: bool
    is_temporary: bool

    @property
    def study(self) -> str:
        """The study's id."""
        return self.files.id

    @property
    def image_id(self) -> str:
        """The id that names this image: `study` or `study/sequence`."""
        return self.study if self.whole else f"{self.study}/{self.sequence}"

    @property
    def source(self) -> VolumeSource:
        """Where the voxels of the sequence that the client sees come from."""
        return self.files.sources[self.sequence]


class Catalogue:
    """The studies of a folder and the uploads. Reads nothing before `refresh`.

    The patient of every study that leaves the catalogue is a pseudonym.

    Attributes:
        former_ids: see `studies.find.Catalog`. Such an id still names its study, if there is one.
    """

    def __init__(
        self, folder: Path, target: Target, state: StateFolder, *, max_voxels: int = MAX_VOXELS
    ) -> None:
        self._folder = folder
        self._max_voxels = max_voxels
        self._target = target
        self._state = state
        self._lock = threading.Lock()
        self._studies: dict[str, StudyFiles] = {}
        self._problems: tuple[StudyProblem, ...] = ()
        self._found_problems: frozenset[StudyProblem] = frozenset()
        self._grids: dict[tuple[object, ...], Grid] = {}
        self.former_ids: Mapping[str, frozenset[str]] = {}

    def refresh(self, *, stays: Callable[[StudyProblem], bool] = lambda _: False) -> None:
        """Look for studies and uploads again.

        Args:
            stays: whether one of `read_problems` stays a problem: its files are as they were.
        """
        listed_before = self.studies
        catalog = find_studies(self._folder, self._target, skip=(self._state.root,))
        studies, problems = dict(catalog.studies), list(catalog.problems)
        for path in sorted(self._state.uploads.glob("*")):
            study = uploaded_id(path)
            if not is_volume(path) or path.is_dir() or study in studies:
                continue
            try:
                check_upload(path, max_voxels=self._max_voxels)
                studies[study] = uploaded_study(path, self._target)
            except InputError as error:
                problems.append(StudyProblem(study, (path,), str(error)))
        private = {name: self._private(files) for name, files in studies.items()}
        with self._lock:
            # Other requests may have added, removed or read studies meanwhile.
            gone = listed_before.keys() - self._studies.keys()
            added = {n: files for n, files in self._studies.items() if n not in listed_before}
            unread = [p for p in self.read_problems if p.id in private]
            unread = [p for p in unread if p.id in gone or stays(p)]
            left_out = gone.union(problem.id for problem in unread)
            found = {name: files for name, files in private.items() if name not in left_out}
            self._studies = added | found
            self._problems = (*problems, *unread)
            self._found_problems = frozenset(problems)
        self.former_ids = {
            old: now for old, now in catalog.former_ids.items() if old not in studies
        }

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
        """Resolve an image id, `study` or `study/sequence`.

        Raises:
            InputError: the study exists but cannot be used.
            UnknownNameError: there is no such study, or the study has no such sequence.
        """
        study, sequence = self._parts(image_id)
        for problem in self._problems:
            if problem.id == study and study not in self._studies:
                raise InputError(
                    f"study {study!r} cannot be used: {problem.reason}",
                    expected="a study whose files can be read",
                    remedy="list its files with GET /zeus/studies, repair them, and call"
                    " GET /zeus/studies?refresh=true",
                )
        if study not in self._studies:
            close = ", ".join(get_close_matches(study, self._studies)) or "none is close"
            raise UnknownNameError(
                f"unknown study {image_id!r}",
                expected=f"one of {len(self._studies)} studies, or study/sequence (close: {close})",
                remedy="list the studies with GET /zeus/studies",
            )
        files = self._studies[study]
        if sequence:
            lookup("sequence", sequence, files.sources)
            return ResolvedImage(files, sequence, whole=False, is_temporary=False)
        return ResolvedImage(files, self._reference(files), whole=True, is_temporary=False)

    def _parts(self, image_id: str) -> tuple[str, str]:
        """The study and the sequence that an image id names; no sequence if it names none."""
        study, _, sequence = image_id.rpartition("/")
        for name, rest in ((image_id, ""), (study, sequence)):
            now = self.former_ids.get(name, frozenset())
            if name in self._studies:
                return name, rest
            if len(now) == 1:
                return next(iter(now)), rest
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
        """The grid that the client sees, read once for each version of the files.

        Raises:
            InputError: the sequence cannot be read; the study is then taken off the list.
        """
        with self._delisting(resolved):
            # Not the study's id: the study of a session has another one in each request.
            key = (resolved.sequence, *versions(resolved.source))
            grid = self._grids.get(key) or resolved.source.load().grid
            with self._lock:
                self._grids[key] = grid
                while len(self._grids) > MAX_GRIDS:
                    del self._grids[next(iter(self._grids))]
            return grid

    def read(self, resolved: ResolvedImage) -> Study:
        """Read every sequence of a study.

        Raises:
            InputError: a sequence cannot be read. The study is a problem until the next `refresh`.
        """
        with self._delisting(resolved):
            return read_study(resolved.files)

    @contextmanager
    def _delisting(self, resolved: ResolvedImage) -> Iterator[None]:
        """Take the study off the list if reading it raises: some faults show in voxels alone."""
        try:
            yield
        except FileNotFoundError as error:
            gone = InputError(
                f"{error.filename} is gone",
                expected="the file that was there when the studies were listed",
                remedy="put the file back, and call GET /zeus/studies?refresh=true",
            )
            self._delist(resolved, str(gone))
            raise gone from error
        except InputError as error:
            self._delist(resolved, str(error))
            raise

    def _delist(self, resolved: ResolvedImage, reason: str) -> None:
        logger.warning("study %s cannot be used: %s", resolved.study, reason)
        with self._lock:
            if resolved.study in self._studies:
                files = files_of(resolved.files.sources)
                self._problems = (*self._problems, StudyProblem(resolved.study, files, reason))
            self._studies = _without(self._studies, resolved.study)

    def volume_file(self, resolved: ResolvedImage) -> Path:
        """A NIfTI file for the client: the original file, or a NIfTI copy where that is needed.

        Raises:
            InputError: the sequence cannot be read, or ITK cannot represent its grid.
        """
        name = f"{folder_name(resolved.study)}_{folder_name(resolved.sequence)}.nii.gz"
        copy = self._state.volumes / name
        with self._delisting(resolved):
            version = versions(resolved.source)
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
        path = self._state.uploads / upload_name(name, self._sequence_of(file, name), file)
        with self._lock, file_lock(self._state.uploads / ".lock"):
            self._refuse_taken(name)
            write_atomically(path, partial(shutil.copyfile, file))
            study = uploaded_study(path, self._target)
            self._studies = {**self._studies, study.id: self._private(study)}
        return name

    def _sequence_of(self, file: Path, name: str) -> str:
        return (
            sequence_from_name(stem(file), self._target)
            or sequence_from_name(name, self._target)
            or self._target.reference_of(self._target.sequence_names)
        )

    def _refuse_taken(self, name: str) -> None:
        """Refuse the id of another study, or of an upload to another server with this state."""
        problems = (problem.id for problem in self._problems)
        uploads = map(uploaded_id, self._state.uploads.glob("*"))
        if name in {*self._studies, *problems, *self.former_ids, *uploads}:
            raise InputError(
                f"image id {name!r} is taken",
                expected="an id that no study has",
                remedy=f"send another id, for example {name}_2",
            )

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
                f"study {resolved.study!r} is in the studies folder",
                expected="the id of an image that a client uploaded",
                remedy="move its files out of the studies folder yourself; Zeus changes nothing"
                " there",
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
