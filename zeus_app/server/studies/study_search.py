"""Finds new, changed and removed studies while the server runs, when a client asks.

Nothing runs between requests. A request compares the times of all folders, which takes
milliseconds. Only if one has changed are the studies found again, in a thread of its own.
"""

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path

from zeus_app.server.studies.catalogue import Catalogue
from zeus_app.server.studies.lookout import Lookout
from zeus_app.settings.file_names import readable
from zeus_app.studies.candidates import files_of
from zeus_app.studies.caselist import LIST_NAMES
from zeus_app.studies.file_times import FileTimes, folders_of
from zeus_app.types import StudyFiles, StudyProblem

logger = logging.getLogger(__name__)

_MOST_PATHS = 20_000  # besides the folders; of problems and lists
_MOST_NAMES = 20  # in a line of the log


class StudySearch(Lookout):
    """Looks for studies whose folders, files of problems or lists have changed.

    Args:
        catalogue: the studies.
        folder: the studies folder.
        state: the state folder, which may lie in the studies folder.
    """

    sought = "studies"

    def __init__(self, catalogue: Catalogue, folder: Path, state: Path) -> None:
        super().__init__()
        self._catalogue, self._folder, self._state = catalogue, folder, state
        self._searching = threading.Lock()
        self._searched_at_ns = 0
        self._times: tuple[FileTimes, ...] = ()
        self._read_problems: dict[StudyProblem, FileTimes] = {}

    def search(self) -> None:
        """Find all studies now. Studies and sequences that could not be read are tried again.

        Raises:
            InputError: the studies folder is gone.
        """
        with self._searching:
            self._read_problems = {}
            self._catalogue.forget_left_out()
            self._find()

    def look_now(self) -> None:
        """Find the studies again if something has changed."""
        with self._searching:
            if self._changed():
                self._find()

    def _changed(self) -> bool:
        """Whether a folder, a file of a problem or a list has changed since the last search."""
        known = self._read_problems
        self._read_problems = {
            problem: known.get(problem) or FileTimes(problem.files, since_ns=self._searched_at_ns)
            for problem in self._catalogue.read_problems
        }
        times = (*self._times, *self._read_problems.values())
        return self._catalogue.changed_since_left_out() or any(each.changed() for each in times)

    def _find(self) -> None:
        catalogue, since_ns = self._catalogue, time.time_ns()
        folders = {str(self._folder), *folders_of(self._folder, skip=(self._state,))}
        lists = (str(self._folder / name) for name in LIST_NAMES)
        # Stored first: a folder that cannot be searched is searched again when it has changed.
        self._times = (FileTimes([*folders, *lists], since_ns=since_ns),)
        before = catalogue.studies, {*catalogue.problems}
        catalogue.refresh(stays=self._stays)
        more = islice((path for path in self._more_paths() if path not in folders), _MOST_PATHS)
        self._times += (FileTimes(more, since_ns=since_ns),)
        staying = {*catalogue.read_problems}
        self._read_problems = {p: t for p, t in self._read_problems.items() if p in staying}
        if self._searched_at_ns:  # the first search is told by `ServerContext.log_studies`
            tell(catalogue, *before)
        self._searched_at_ns = since_ns

    def _stays(self, problem: StudyProblem) -> bool:
        times = self._read_problems.get(problem)
        return times is not None and not times.changed()

    def _more_paths(self) -> Iterator[str]:
        """Files that may still be copied, and the folders to which a list or a link leads."""
        for problem in self._catalogue.problems:
            yield from map(str, problem.files)
        for study in self._catalogue.studies.values():
            for image in study.unused:
                yield from map(str, image.files[:1])
            yield from {str(path.parent) for path in files_of(study.sources)}


def log_study(study: StudyFiles) -> None:
    """Log the files of a study, and each image that lies with it and is not used."""
    used = (f"{name} {source.files[0].name}" for name, source in study.sources.items())
    logger.info("Zeus: study %s: %s", study.id, readable(", ".join(used)))
    for image in study.unused:
        logger.info("Zeus: study %s: not used: %s", study.id, readable(image.reason))


def log_problem(problem: StudyProblem) -> None:
    """Log a study that cannot be used, with the reason and the files."""
    files = ", ".join(map(str, problem.files))
    logger.warning("Zeus: study %s cannot be used: %s (%s)", problem.id, problem.reason, files)


def tell(
    catalogue: Catalogue, before: Mapping[str, StudyFiles], known: Collection[StudyProblem]
) -> None:
    """Log what a search has found."""
    now = catalogue.studies
    changed = [
        name
        for name in now.keys() & before.keys()
        if files_of(now[name].sources) != files_of(before[name].sources)
    ]
    for what, names in (
        ("new", now.keys() - before.keys()),
        ("changed", changed),
        ("gone", before.keys() - now.keys()),
    ):
        if names:
            listed = ", ".join(sorted(names)[:_MOST_NAMES])
            more = f" ... ({len(names)} in all)" if len(names) > _MOST_NAMES else ""
            logger.info("Zeus: %s studies: %s%s", what, listed, more)
    for problem in catalogue.problems:
        if problem not in known:
            log_problem(problem)
