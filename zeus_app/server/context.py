"""What the tasks and routes of one server share, made from its command line."""

import logging
import threading
from collections.abc import Hashable, Mapping
from functools import partial
from pathlib import Path

import psutil

from zeus_app.build import build_clicks, build_segmenter
from zeus_app.errors import InputError
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.prompts.propagation import ClickSegmenter
from zeus_app.server.interactive.click_history import ClickHistory
from zeus_app.server.jobs.background_encoding import BackgroundEncoder
from zeus_app.server.jobs.jobs import Jobs
from zeus_app.server.studies.catalogue import ResolvedImage
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder, state_folder
from zeus_app.studies.candidates import files_of
from zeus_app.studies.read import read_one_file, read_study
from zeus_app.studies.stack_cache import SliceStackCache
from zeus_app.targets import Target, target_of
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints
from zeus_app.types import SliceStack, StudyFiles

_MONAILABELS_OWN = frozenset({"server_mode"})  # conf keys that MONAI Label itself reads
_CLOCK_SLACK_S = 1.0  # a process's start is known to a clock tick, a folder's to a nanosecond
logger = logging.getLogger(__name__)


class ServerContext:
    """Settings, studies, and the model of one server or one training process.

    Attributes:
        config, target, state: what was asked for.
        datastore: the studies and their labels.
        checkpoints: the versions of the weights.
        jobs: running inferences.
        click_history: what each user clicked.
        preparer: encodes what clients open.
    """

    def __init__(self, config: ZeusConfig, target: Target, state: StateFolder, folder: Path):
        self.config = config
        self.target = target
        self.state = state
        self.datastore = StudyDatastore(folder, target, state)
        self.checkpoints = Checkpoints(state.checkpoints)
        self.click_history = ClickHistory(state.clicks)
        self._open = SliceStackCache(target, limit_bytes=config.open_mib * (1 << 20))
        self.jobs = Jobs(waiting=config.waiting)
        self.preparer = BackgroundEncoder(
            self.jobs, lambda stack, **to: self.segmenter.prepare(stack, **to)
        )
        self._lock = threading.Lock()
        self._segmenter: Segmenter | None = None
        self._clicks: ClickSegmenter | None = None

    @property
    def segmenter(self) -> Segmenter:
        """The model, built at the first use: scoring needs none."""
        with self._lock:
            if self._segmenter is None:
                self._segmenter = build_segmenter(self.config, self.state)
            return self._segmenter

    @property
    def clicks(self) -> ClickSegmenter:
        """What answers clicks, built at the first one, with the model's own image encoder."""
        segmenter = self.segmenter
        with self._lock:
            if self._clicks is None:
                self._clicks = build_clicks(self.config, self.state, beside=segmenter)
            return self._clicks

    def pictures_of(self, resolved: ResolvedImage) -> SliceStack:
        """A study's pictures, read when they are first wanted and kept while it is worked on."""
        read = partial(self.datastore.catalogue.read, resolved)
        return self._open.stack(_version_of(resolved.files), read)

    @property
    def served(self) -> str:
        """The version of the weights that answers next."""
        served = self.checkpoints.served()
        return served.version if served else UNTRAINED

    def opened(self, image_id: str) -> None:
        """A client opened a study: prepare it, unless the settings say no."""
        if self.config.prepare:
            self._prepare(self.datastore.catalogue.resolve(image_id).files)

    def clicked(self, resolved: ResolvedImage, at: int, slices: int) -> None:
        """A user clicked on an axial slice: prepare its study from there on, both ways."""
        if self.config.prepare and not resolved.guest:
            nearest = tuple(sorted(range(slices), key=lambda s: abs(s - at)))
            self._prepare(resolved.files, first=nearest, again=False)

    def prepare(self, image_id: str, slices: tuple[int, ...]) -> str:
        """Prepare a study because a client asks for it, these slices first; returns its id."""
        files = self.datastore.catalogue.resolve(image_id).files
        self._prepare(files, first=slices)
        return files.id

    def opened_session(self, session: str, image: Path) -> None:
        """A client sent the file, or the folder of one study, at `image`: prepare it likewise."""

        def read() -> SliceStack:
            return self._read(read_one_file(image, self.target, session))

        if self.config.prepare:
            self.preparer.open(f"session {session}", session, read)

    def _prepare(
        self, files: StudyFiles, *, first: tuple[int, ...] = (), again: bool = True
    ) -> None:
        read = partial(self._read, files)
        self.preparer.open(files.id, _version_of(files), read, first=first, again=again)

    def _read(self, files: StudyFiles) -> SliceStack:
        return self._open.stack(_version_of(files), partial(read_study, files))

    @property
    def label_values(self) -> dict[str, int]:
        """Label name -> value in label maps."""
        return {label.name: label.value for label in self.target.labels}

    def log_what_was_found(self) -> None:
        """One line for the studies, one for each problem and for labels without a study."""
        found = self.datastore.catalogue
        logger.info(
            "Zeus: target %s, profile %s, model %s, fusion %s; %d studies; state in %s",
            self.target.name, self.config.profile, self.config.model, self.config.fusion,
            len(found.studies), self.state.root,
        )  # fmt: skip
        for problem in found.problems:
            files = ", ".join(map(str, problem.files))
            logger.warning("Zeus: study %s left out: %s (%s)", problem.id, problem.reason, files)
        for lost in self.datastore.orphaned_labels:
            logger.warning("Zeus: %s (%s)", lost.reason, lost.files[0])


def _version_of(files: StudyFiles) -> Hashable:
    """Names a study by its files as they are; a session's image is the same in every request."""
    return tuple(files.sources), tuple(map(_stamp, files_of(files.sources)))


def _stamp(path: Path) -> Hashable:
    try:
        stat = path.stat()
    except OSError:
        return str(path)  # whoever reads it says what is wrong
    return str(path), stat.st_mtime_ns, stat.st_size


def open_context(studies: str, conf: Mapping[str, str], *, first: bool = True) -> ServerContext:
    """Read the command line of a server; not for the first time after a POST /reload.

    Raises:
        InputError: an unknown target or setting, or a studies folder that is none.
    """
    own = {key: value for key, value in conf.items() if key not in _MONAILABELS_OWN}
    config = ZeusConfig.from_conf(own)
    target = target_of(config)
    if "://" in studies:
        raise InputError(
            f"studies at {studies}", expected="a folder", remedy="copy the studies into a folder"
        )
    folder = Path(studies)
    refuse_missing(folder, first=first)
    state = state_folder(config, target=target.name, studies=folder)
    return ServerContext(config, target, state, folder)


def refuse_missing(folder: Path, *, first: bool = True) -> None:
    """Refuse a studies folder that does not exist.

    `monailabel start_server` makes a missing folder before it asks the app; an empty folder that is
    younger than this process is such a one when it starts, and is taken away again, with the
    parents that were made for it. A folder found empty later was emptied by its owner, and is
    served.

    Raises:
        InputError: the folder is missing, or was until start_server made it.
    """
    if folder.is_dir():
        if any(folder.iterdir()):
            return
        began = psutil.Process().create_time() + _CLOCK_SLACK_S
        if not first or folder.stat().st_ctime <= began:
            logger.warning("Zeus: the studies folder %s is empty", folder)
            return
        folder.rmdir()
        _remove_parents(folder, made_after=began)
    raise InputError(
        f"studies folder {folder} does not exist",
        expected="a folder of studies",
        remedy="check the path after --studies",
    )


def _remove_parents(folder: Path, *, made_after: float) -> None:
    """Take away the empty folders above that are younger than `made_after`."""
    for parent in folder.parents:
        # What is made or removed in a folder changes its ctime, and only its being read its atime.
        if parent.stat().st_atime <= made_after:
            return
        try:
            parent.rmdir()
        except OSError:  # it holds something, or is not ours
            return
