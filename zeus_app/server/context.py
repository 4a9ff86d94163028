"""The context of one server, made from its command line: shared by its tasks and routes."""

import logging
import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
from monailabel.utils.async_tasks.utils import processes

from zeus_app.build import build_clicks, build_segmenter
from zeus_app.dicom.web.client import DicomWeb
from zeus_app.errors import InputError
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.prompts.segmenter import ClickSegmenter
from zeus_app.server.interactive.click_history import ClickHistory
from zeus_app.server.jobs.background_encoding import BackgroundEncoder
from zeus_app.server.jobs.inference_jobs import InferenceJobs, JobLimits
from zeus_app.server.jobs.jobs import Jobs
from zeus_app.server.jobs.learning import CaseLearning
from zeus_app.server.jobs.learning_process import LearningProcess
from zeus_app.server.pacs.catalogue import PacsCatalogue
from zeus_app.server.results.results import DicomResults
from zeus_app.server.segmentations.records import SegmentationRecords
from zeus_app.server.segmentations.search import SegmentationSearch
from zeus_app.server.segmentations.taking import SegmentationTaker
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.studies.places import Place, folder_for, place_of
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.studies.study_search import log_problem, log_study
from zeus_app.server.tasks.chosen_sequences import refuse_lacking
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder, state_folder, with_decoder
from zeus_app.studies.opened import OpenedStudy
from zeus_app.studies.stack_cache import SliceStackCache
from zeus_app.studies.versions import version_of
from zeus_app.targets import Target, target_of
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints
from zeus_app.types import MIB, StudyFiles, VolumeSource

_MONAI_LABEL_KEYS = frozenset({"server_mode"})  # conf keys that MONAI Label itself reads
_LABELS_WAIT_S = 15.0  # of a training, for the labels of the PACS
_CLOCK_SLACK_S = 1.0  # process start times are coarser than folder times
logger = logging.getLogger(__name__)


class ServerContext:
    """Settings, studies and model of one server, or of one training process.

    Attributes:
        config: the settings.
        target: the structures and sequences to segment.
        state: the folder for labels, checkpoints and caches.
        datastore: the studies and their labels.
        checkpoints: the versions of the weights.
        jobs: the inferences and clicks that run or wait.
        inference_jobs: the inferences that clients fetch later.
        click_history: the prompts of each user.
        background_encoder: encodes the studies that clients open or label.
        learning: learns from each submitted label, if the settings allow.
        results: the DICOM SEG and SR of labels and predictions.
        segmentations: finds the DICOM SEGs of users; None without a PACS, or by setting.
    """

    def __init__(self, config: ZeusConfig, target: Target, state: StateFolder, place: Place):
        self.config = config
        self.target = target
        self.state = state
        self.datastore = StudyDatastore(
            place, target, state, max_voxels=config.max_voxels, pacs_mib=config.pacs_mib
        )
        self.checkpoints = Checkpoints(state.checkpoints)
        self.click_history = ClickHistory(state.clicks)
        self._opened_studies = SliceStackCache(target, limit_bytes=config.open_mib * MIB)
        self.jobs = Jobs(max_waiting=config.waiting)
        self.inference_jobs = InferenceJobs(JobLimits(unfinished=1 + config.waiting))
        self.background_encoder = BackgroundEncoder(
            self.jobs, lambda stack, **to: self.segmenter.prepare(stack, **to)
        )
        self.learning = CaseLearning(
            config.learn,
            start_worker=lambda: LearningProcess(place, config),
            is_training=lambda: bool(processes("train")) or self.checkpoints.is_training,
        )
        self.results = DicomResults(
            config, target, state,
            datastore=self.datastore, clicks=self.click_history,
            pacs=lambda: self.pacs, idle=self.jobs.background,
        )  # fmt: skip
        self.segmentations = self._segmentation_search()
        self._lock = threading.Lock()
        self._segmenter: Segmenter | None = None
        self._click_segmenter: ClickSegmenter | None = None

    @property
    def pacs(self) -> DicomWeb | None:
        """The PACS of the studies; None if they come from a folder."""
        catalogue = self.datastore.catalogue
        return catalogue.web if isinstance(catalogue, PacsCatalogue) else None

    def _segmentation_search(self) -> SegmentationSearch | None:
        if self.pacs is None or not self.config.pacs_labels:
            return None
        taker = SegmentationTaker(
            self.datastore, self.target,
            creators=self.config.pacs_label_creators.split(","), on_label=self.use_label,
        )  # fmt: skip
        records = SegmentationRecords(self.state.segmentations)
        return SegmentationSearch(
            self.pacs, records, taker.take,
            tell=self.results.compare_segs_with_pacs,
            serves=lambda study_uid: study_uid in self.datastore.catalogue.studies,
        )  # fmt: skip

    def look(self) -> None:
        """Find new studies, and new labels in the PACS; see `Lookout`.

        It may take some seconds, so no route may call it on the event loop.
        """
        self.datastore.look()
        if self.segmentations:
            self.segmentations.look()

    def look_at_once(self) -> None:
        """As `look`, but labels that came to the PACS just now are found without a pause."""
        self.datastore.look()
        if self.segmentations:
            self.segmentations.look_at_once(wait_s=_LABELS_WAIT_S)

    @property
    def segmenter(self) -> Segmenter:
        """The model, built at its first use, because scoring needs none."""
        with self._lock:
            if self._segmenter is None:
                self._segmenter = build_segmenter(self.config, self.state)
            return self._segmenter

    @property
    def click_segmenter(self) -> ClickSegmenter:
        """The model for clicks, built at the first click; it shares the model's image encoder."""
        segmenter = self.segmenter
        with self._lock:
            if self._click_segmenter is None:
                self._click_segmenter = build_clicks(self.config, self.state, shared_with=segmenter)
            return self._click_segmenter

    def open_study(self, resolved: ResolvedImage, sequences: Collection[str] = ()) -> OpenedStudy:
        """Return a study from the slice-stack cache, or read, align and slice it.

        Inferences, clicks and background encoding all open studies here.

        Args:
            resolved: an image of the study.
            sequences: the study's sequences to use; empty: all. The grid stays the same.

        Raises:
            InputError: the study cannot be read or aligned, or lacks one of the sequences. A study
                that cannot be read is taken off the list of studies.
        """
        read = partial(self.datastore.catalogue.read, resolved)
        refuse_lacking(sequences, resolved.files)
        names = tuple(name for name in self.target.sequence_names if name in sequences)
        cache, version = self._opened_studies, _version_of(resolved.files)
        if names and resolved.files.sources.keys() - set(names):
            opened = cache.open_sequences(version, read, names)
        else:
            opened = cache.open(version, read)
        # The same files have another id in each request of a session.
        return replace(opened, id=resolved.study)

    @property
    def served_version(self) -> str:
        """The version of the weights that the next inference uses, or "untrained"."""
        served = self.checkpoints.served()
        return served.version if served else UNTRAINED

    def encode_opened(self, resolved: ResolvedImage) -> None:
        """Encode a study in the background because a client opened it, if the settings allow."""
        if self.config.prepare:
            self.encode(resolved)

    def encode_around(
        self,
        resolved: ResolvedImage,
        slice_index: int,
        slices: int,
        *,
        session: str = "",
        again: bool = False,
    ) -> None:
        """Encode a study in the background after a click, if the settings allow.

        Args:
            resolved: the clicked image.
            slice_index: the clicked axial slice on the canonical grid. It is encoded first, then
                its neighbours on both sides.
            slices: number of axial slices.
            session: id of the MONAI Label session whose image was clicked, or "". A file that came
                with the request alone is not encoded, because no later request can name it.
            again: whether to encode a study that was encoded lately, because slices are missing.
        """
        nearest = tuple(sorted(range(slices), key=lambda s: abs(s - slice_index)))
        if self.config.prepare and session:
            self._encode_session(session, lambda: resolved, first=nearest, again=again)
        elif self.config.prepare and not resolved.is_temporary:
            self.encode(resolved, first=nearest, again=again)

    def encode_labelled(self, study: str) -> None:
        """Encode a study in the background after its label was submitted, if the settings allow.

        The next training then finds its embeddings. Nothing is encoded while a training process
        runs, or after each label if the server learns from each: both encode their studies.
        """
        if self.config.prepare and self.config.learn == "off" and not processes("train"):
            resolved = self.datastore.catalogue.resolve(study)
            self.background_encoder.enqueue(
                resolved.study,
                _version_of(resolved.files),
                lambda: self.open_study(resolved).stack,
                again=False,
                labelled=True,
            )

    def use_label(self, study: str) -> None:
        """Encode a study, and learn from it, after a new final label, if the settings allow."""
        self.encode_labelled(study)
        self.learning.submit(study)

    def encode_session(self, session: str, image: Path) -> None:
        """Encode the file, or the folder of one study, of a new session, if the settings allow."""
        if self.config.prepare:
            temporary_study = self.datastore.catalogue.temporary_study
            self._encode_session(session, lambda: temporary_study(image, session))

    def _encode_session(
        self,
        session: str,
        find: Callable[[], ResolvedImage],
        *,
        first: tuple[int, ...] = (),
        again: bool = True,
    ) -> None:
        self.background_encoder.enqueue(
            f"session {session}",
            session,
            lambda: self.open_study(find()).stack,
            first=first,
            again=again,
        )

    def encode(
        self, resolved: ResolvedImage, *, first: tuple[int, ...] = (), again: bool = True
    ) -> None:
        """Encode a study in the background.

        Args:
            resolved: an image of the study.
            first: axial slices on the canonical grid that are encoded before the others.
            again: whether to encode a study that was encoded lately.
        """
        self.background_encoder.enqueue(
            resolved.study,
            _version_of(resolved.files),
            lambda: self.open_study(resolved).stack,
            first=first,
            again=again,
        )

    def log_studies(self) -> None:
        """Log what was found: studies, images that are not used, problems, orphaned labels."""
        catalogue = self.datastore.catalogue
        logger.info(
            "Zeus: target %s, profile %s, model %s, fusion %s; %d studies; state in %s",
            self.target.name, self.config.profile, self.config.model, self.config.fusion,
            len(catalogue.studies), self.state.root,
        )  # fmt: skip
        for study in catalogue.studies.values():
            if study.sources:  # a study of a PACS has none before it is opened
                log_study(study)
        for problem in catalogue.problems:
            log_problem(problem)
        for orphan in self.datastore.orphaned_labels:
            logger.warning("Zeus: %s (%s)", orphan.reason, orphan.files[0])


def _version_of(files: StudyFiles) -> Hashable:
    """Names a study by the versions of its sequences, and not by its id.

    A session's study has another id in each request and the same files.
    """
    return tuple((name, _stamp(source)) for name, source in files.sources.items())


def _stamp(source: VolumeSource) -> Hashable:
    try:
        return version_of(source)
    except OSError:
        return tuple(map(str, source.files))  # reading the study will raise, with the reason


def open_context(studies: str, conf: Mapping[str, str]) -> ServerContext:
    """Make a context from the command line of a server.

    Args:
        studies: path of the studies folder, or DICOMweb address of a PACS.
        conf: the settings, as `--conf` carries them.

    Raises:
        InputError: a target or setting is unknown, the studies folder does not exist, or the PACS
            cannot be used.
    """
    settings = {key: value for key, value in conf.items() if key not in _MONAI_LABEL_KEYS}
    config = ZeusConfig.from_conf(settings)
    target = target_of(config)
    place = place_of(studies, config)
    folder = folder_for(place)
    if isinstance(place, Path):
        refuse_missing(place)
    config = with_decoder(config, target=target.name, studies=folder)
    state = state_folder(config, target=target.name, studies=folder)
    return ServerContext(config, target, state, place)


def refuse_missing(folder: Path) -> None:
    """Refuse a studies folder that does not exist.

    `monailabel start_server` creates a missing folder before it loads the app. So at the start an
    empty folder that is younger than this process counts as missing. It is removed again, with the
    parents that were created for it.

    Args:
        folder: the studies folder.

    Raises:
        InputError: the folder is missing, or start_server has just created it.
    """
    if folder.is_dir():
        if any(folder.iterdir()):
            return
        process_start_s = psutil.Process().create_time() + _CLOCK_SLACK_S
        if folder.stat().st_ctime <= process_start_s:
            logger.warning("Zeus: the studies folder %s is empty", folder)
            return
        folder.rmdir()
        _remove_parents(folder, made_after=process_start_s)
    raise InputError(
        f"studies folder {folder} does not exist",
        expected="a folder of studies",
        remedy="check the path after --studies, for example --studies /data/mri",
    )


def _remove_parents(folder: Path, *, made_after: float) -> None:
    """Remove the empty parent folders that are younger than `made_after`, in seconds since 1970."""
    for parent in folder.parents:
        # Creating or removing a file in a folder changes its ctime, but not its atime.
        if parent.stat().st_atime <= made_after:
            return
        try:
            parent.rmdir()
        except OSError:  # it is not empty, or belongs to another user
            return
