"""The studies that the server knows, and the meaning of a client's image id.

An image id is `study` or `study/sequence`. Studies come from the studies folder or from uploads.
The files of a session, or of a single request, are a temporary study: no id of a client names it.
"""

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.labels.versions import folder_name
from zeus_app.server.studies.nifti_copies import ready_file, versions, write_copy
from zeus_app.settings.registry import lookup
from zeus_app.storage.atomic import write_atomically
from zeus_app.storage.state import StateFolder
from zeus_app.studies.candidates import files_of
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_one_file, read_study, sequence_told
from zeus_app.targets import Target
from zeus_app.types import Grid, Study, StudyFiles, StudyProblem, VolumeSource
from zeus_app.volumes.sources import VOLUME_SUFFIXES, is_volume, stem

logger = logging.getLogger(__name__)
_LONGEST_FILE_NAME = 160  # of an upload, quoted; sequence and ending follow
_GRIDS = 4096  # that are remembered
_SEQUENCE_MARK = "~"  # in an upload's file name, between its id, which has none, and its sequence


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
        """The sequence the client sees."""
        return self.files.sources[self.sequence]


class Catalogue:
    """The studies of a folder and the uploads. Reads nothing before `refresh`."""

    def __init__(self, folder: Path, target: Target, state: StateFolder) -> None:
        self._folder = folder
        self._target = target
        self._state = state
        self._lock = threading.Lock()
        self._studies: dict[str, StudyFiles] = {}
        self._problems: tuple[StudyProblem, ...] = ()
        self._grids: dict[tuple[object, ...], Grid] = {}

    def refresh(self) -> None:
        """Look for studies and uploads again."""
        found = find_studies(self._folder, self._target, skip=(self._state.root,))
        studies, problems = dict(found.studies), list(found.problems)
        for path in sorted(self._state.uploads.glob("*")):
            study = unquote(stem(path).partition(_SEQUENCE_MARK)[0])
            if not is_volume(path) or path.is_dir() or study in studies:
                continue
            try:
                studies[study] = self._uploaded(path, study)
            except InputError as error:
                problems.append(StudyProblem(study, (path,), str(error)))
        self._studies, self._problems = studies, tuple(problems)

    @property
    def studies(self) -> dict[str, StudyFiles]:
        """Study id -> files, for every listed study that can be used."""
        return dict(self._studies)

    @property
    def problems(self) -> tuple[StudyProblem, ...]:
        """What was found and cannot be used, with the reasons."""
        return self._problems

    def resolve(self, image_id: str) -> ResolvedImage:
        """What an image id stands for.

        Raises:
            InputError: the study was found but cannot be used.
            UnknownNameError: there is no such study, or it has no such sequence.
        """
        study, _, sequence = image_id.rpartition("/")
        if image_id in self._studies or study not in self._studies:
            study, sequence = image_id, ""
        for problem in self._problems:
            if problem.id == study and study not in self._studies:
                raise InputError(
                    f"study {study!r} cannot be used: {problem.reason}",
                    expected="a study that can be read",
                    remedy="see GET /zeus/studies for its files",
                )
        if study not in self._studies:
            close = ", ".join(get_close_matches(study, self._studies)) or "none is close"
            raise UnknownNameError(
                f"unknown study {image_id!r}",
                expected=f"one of {len(self._studies)} studies, or study/sequence (close: {close})",
                remedy="list them with GET /zeus/studies",
            )
        files = self._studies[study]
        if sequence:
            lookup("sequence", sequence, files.sources)
            return ResolvedImage(files, sequence, whole=False, is_temporary=False)
        return ResolvedImage(files, self._reference(files), whole=True, is_temporary=False)

    def temporary_study(self, path: Path, study_id: str = "") -> ResolvedImage:
        """Resolve the file, or the folder of one study, that came with a request or a session.

        The study is not listed, and no image id of a client names it.

        Args:
            path: the file or folder.
            study_id: the study's id; a new unique one if empty.

        Raises:
            InputError: the path does not exist, or the folder does not hold exactly one study.
        """
        files = read_one_file(path, self._target, study_id or f"temporary-{uuid.uuid4().hex}")
        return ResolvedImage(files, self._reference(files), whole=True, is_temporary=True)

    def _reference(self, files: StudyFiles) -> str:
        return self._target.reference_of(tuple(files.sources))

    def grid(self, resolved: ResolvedImage) -> Grid:
        """The grid the client sees; read once a file version."""
        with self._told_unusable(resolved):
            # Not the study's id: the study of a session has another one in each request.
            key = (resolved.sequence, *versions(resolved.source))
            grid = self._grids.get(key) or resolved.source.load().grid
            with self._lock:
                self._grids[key] = grid
                while len(self._grids) > _GRIDS:
                    del self._grids[next(iter(self._grids))]
            return grid

    def read(self, resolved: ResolvedImage) -> Study:
        """Every sequence of a study.

        Raises:
            InputError: one cannot be used; the study is a problem until the next `refresh`.
        """
        with self._told_unusable(resolved):
            return read_study(resolved.files)

    @contextmanager
    def _told_unusable(self, resolved: ResolvedImage) -> Iterator[None]:
        """What only voxels tell (NaN, a constant) takes a study off the list, with the reason."""
        try:
            yield
        except FileNotFoundError as error:
            gone = InputError(
                f"{error.filename} is gone",
                expected="the file that was found when studies were listed",
                remedy="bring it back, and refresh with GET /zeus/studies?refresh=true",
            )
            self._take_off(resolved, str(gone))
            raise gone from error
        except InputError as error:
            self._take_off(resolved, str(error))
            raise

    def _take_off(self, resolved: ResolvedImage, reason: str) -> None:
        logger.warning("study %s left out: %s", resolved.study, reason)
        with self._lock:
            left = {name: files for name, files in self._studies.items() if name != resolved.study}
            if len(left) < len(self._studies):
                files = files_of(resolved.files.sources)
                self._problems = (*self._problems, StudyProblem(resolved.study, files, reason))
            self._studies = left

    def volume_file(self, resolved: ResolvedImage) -> Path:
        """A NIfTI file for the client: the original, or a copy of what lies in no such file.

        Raises:
            InputError: it cannot be used, or its grid is one that ITK does not know.
        """
        name = f"{folder_name(resolved.study)}_{folder_name(resolved.sequence)}.nii.gz"
        copy = self._state.volumes / name
        with self._told_unusable(resolved):
            now = versions(resolved.source)
            if ready := ready_file(resolved.source, copy, now):
                return ready
            volume = resolved.source.load()
        return write_copy(copy, volume, now)

    def _uploaded(self, path: Path, study: str) -> StudyFiles:
        """The study of an upload; its sequence is the one noted in its file's name."""
        _, mark, noted = stem(path).partition(_SEQUENCE_MARK)
        if not mark:  # kept before sequences were noted
            return read_one_file(path, self._target, study)
        names = {folder_name(sequence): sequence for sequence in self._target.sequence_names}
        sequence = lookup("sequence", noted, names)
        return read_one_file(path, self._target, study, sequence=sequence)

    def add(self, image_id: str, file: Path) -> str:
        """Keep an uploaded file as a study of one sequence.

        Which one the file's own name tells, else the id, else it is taken for the main one.

        Raises:
            InputError: unsafe or taken name, or a file that cannot be used.
        """
        name = stem(Path(image_id)) if is_volume(Path(image_id)) else image_id
        _refuse_unsafe(image_id, name)
        if not is_volume(file):
            raise InputError(
                f"an image file ending in {''.join(file.suffixes)!r}",
                expected=", ".join(VOLUME_SUFFIXES),
                remedy="convert it to NIfTI, or put DICOM files into the studies folder",
            )
        with self._lock:
            taken = {*self._studies, *(problem.id for problem in self._problems)}
            if name in taken:
                raise InputError(
                    f"image id {name!r} is taken", expected="a new id", remedy="choose another"
                )
            sequence = (
                sequence_told(stem(file), self._target)
                or sequence_told(name, self._target)
                or self._target.reference_of(self._target.sequence_names)
            )
            kept = f"{_quoted(name)}{_SEQUENCE_MARK}{folder_name(sequence)}{_ending(file)}"
            return self._take_in(name, file, self._state.uploads / kept)

    def _take_in(self, name: str, file: Path, path: Path) -> str:
        write_atomically(path, partial(shutil.copyfile, file))
        try:
            study = self._uploaded(path, name)
            for source in study.sources.values():
                source.load()
        except InputError:
            path.unlink()
            raise
        self._studies = {**self._studies, name: study}
        return name

    def remove(self, image_id: str) -> str:
        """Take an upload out of the list; its file moves to uploads/removed/.

        Raises:
            InputError: the study lies in the studies folder, which Zeus never changes.
        """
        resolved = self.resolve(image_id)
        places = [path for path in resolved.source.files if path.parent == self._state.uploads]
        if not places:
            raise InputError(
                f"study {resolved.study!r} lies in the studies folder",
                expected="the id of an image that a client uploaded",
                remedy="take its files out of the studies folder; Zeus changes nothing there",
            )
        with self._lock:
            for path in places:
                shelf = path.parent / "removed"
                shelf.mkdir(exist_ok=True)
                path.rename(shelf / f"{int(time.time())}-{path.name}")
            left = {name: files for name, files in self._studies.items() if name != resolved.study}
            self._studies = left
        return resolved.study


def _refuse_unsafe(image_id: str, name: str) -> None:
    """Refuse an id that could leave its folder, or that no file can be called after."""
    unsafe = {"/", "\\"} & set(image_id) or ".." in name or name.startswith(".")
    if unsafe or not (name.strip() and name.isprintable()):
        raise InputError(
            f"image id {image_id!r}",
            expected="a name without slashes, control characters and two dots in a row",
            remedy="choose a plain name",
        )
    if len(_quoted(name)) > _LONGEST_FILE_NAME:
        raise InputError(
            f"image id {image_id!r}, which is too long",
            expected=f"at most {_LONGEST_FILE_NAME} letters, of which others than a-z count more",
            remedy="choose a shorter name",
        )


def _quoted(name: str) -> str:
    """An upload's id as the part of its file's name in front of the mark; `unquote` reads it."""
    return folder_name(name).replace(_SEQUENCE_MARK, "%7E")


def _ending(file: Path) -> str:
    return file.name[len(stem(file)) :].lower()
