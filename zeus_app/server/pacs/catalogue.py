"""The studies of a PACS. Each is listed by its Study Instance UID, and opened when it is used."""

import os
import threading
import time
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from zeus_app.dicom.web.client import DicomWeb
from zeus_app.dicom.web.errors import NotInPacsError
from zeus_app.dicom.web.paths import is_uid
from zeus_app.server.pacs.files import PacsFiles, PacsWaiters
from zeus_app.server.pacs.headers import PacsHeaders
from zeus_app.server.pacs.study import PacsSeriesSource, PacsStudyReader
from zeus_app.server.pacs.study_list import PacsList, PacsStudy
from zeus_app.server.studies.catalogue import Catalogue
from zeus_app.server.studies.refusals import unknown_study, unusable_study
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.storage.state import StateFolder
from zeus_app.studies.find import Catalog
from zeus_app.targets import Target
from zeus_app.types import MIB, StudyFiles, StudyProblem
from zeus_app.volumes.uploads import MAX_VOXELS

Opened = StudyFiles | StudyProblem


class PacsCatalogue(Catalogue):
    """The studies of a PACS, and the uploads.

    A listed study has no sources before it is opened. Opening asks for its headers, once for each
    state of the study; its voxels come when they are read.

    Args:
        web: the PACS.
        target: the sequences.
        state: the state folder.
        max_voxels: most voxels of an upload.
        pacs_mib: size limit of the downloaded series, in MiB.
    """

    place = "PACS"
    orphan_remedy = (
        "The PACS does not list such a study now. Look it up there; its labels stay until it is"
        " back"
    )

    def __init__(
        self,
        web: DicomWeb,
        target: Target,
        state: StateFolder,
        *,
        max_voxels: int = MAX_VOXELS,
        pacs_mib: int,
    ) -> None:
        super().__init__(state.pacs / "no-folder", target, state, max_voxels=max_voxels)
        self.web = web
        self._waiters = PacsWaiters()
        self._copies = state.pacs / "volumes" / target.name
        self._downloads = PacsFiles(
            web, state.pacs, limit_bytes=pacs_mib * MIB, waiters=self._waiters
        )
        self._reader = PacsStudyReader(target, self._downloads)
        self._known: dict[str, tuple[PacsStudy, Opened]] = {}
        self._opening: dict[str, threading.Lock] = defaultdict(threading.Lock)

    @cached_property
    def list(self) -> PacsList:
        """The list of the PACS."""
        # Images hold the names of patients.
        self._state.pacs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return PacsList(self.web, self._state.pacs / "studies.json", self.pseudonyms)

    @cached_property
    def _headers(self) -> PacsHeaders:
        return PacsHeaders(self.web, self._state.pacs / "headers", self.pseudonyms)

    def forget_left_out(self) -> None:
        """Give studies and sequences that could not be used another chance at the next refresh."""
        super().forget_left_out()
        known = dict(self._known)
        self._known = {uid: k for uid, k in known.items() if isinstance(k[1], StudyFiles)}

    def fetch(self, resolved: ResolvedImage) -> None:
        """Download the sequences of a study, so that no job waits for the PACS.

        Raises:
            PacsError: the PACS does not send a whole series.
        """
        for source in resolved.files.sources.values():
            if isinstance(source, PacsSeriesSource):
                source.fetch()

    def volume_file(self, resolved: ResolvedImage) -> Path:
        """A NIfTI file for the client. The copies count as downloaded series do."""
        path = super().volume_file(resolved)
        if path.is_relative_to(self._copies):
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # its newest use
        return path

    def _find(self) -> Catalog:
        studies: dict[str, StudyFiles] = {}
        problems: list[StudyProblem] = []
        for uid, study in self.list.studies.items():
            known = self._known.get(uid)
            opened = known[1] if known and known[0] == study else _unopened(study)
            if isinstance(opened, StudyProblem):
                problems.append(opened)
            else:
                studies[uid] = opened
        return Catalog(studies, tuple(problems), self.former)

    def _opened(self, study: str) -> StudyFiles:
        """The files of a listed study, which is opened if it was not.

        Raises:
            InputError: the study has no sequence of the target.
            PacsError: the PACS does not answer, or no longer has the study.
        """
        files = super()._opened(study)
        if files.sources:
            return files
        # Threads that open the same study wait for one of them.
        with self._waiters.waiting(), self._opening[study]:
            files = self._studies.get(study, files)
            listed = self.list.studies.get(study)
            if listed is None and not files.sources:  # it has just left the list
                raise unknown_study(study, self._studies)
            return files if files.sources or listed is None else self._open(listed)

    def _open(self, study: PacsStudy) -> StudyFiles:
        known = self._known.get(study.uid)
        try:
            if known and known[0] == study:
                opened = known[1]
            else:
                opened = self._reader.read(study, self._headers.of_study(study))
        except NotInPacsError:
            self.list.forget(study.uid)
            self._drop(study.uid)
            raise
        self._known[study.uid] = study, opened
        if isinstance(opened, StudyProblem):
            self._drop(study.uid, opened)
            raise unusable_study(study.uid, opened.reason)
        private = self._private(self._left_out.applied_to(opened))
        with self._lock:
            self._studies = {**self._studies, study.uid: private}
        return private

    def _drop(self, uid: str, *problems: StudyProblem) -> None:
        """Take a study off the list, and put a problem in its place."""
        with self._lock:
            self._studies = {name: one for name, one in self._studies.items() if name != uid}
            self._problems = (*self._problems, *problems)

    def _parts(self, image_id: str) -> tuple[str, str]:
        """As for folders; the PACS is asked for the study of a series that is not known yet."""
        study, image = super()._parts(image_id)
        if study in self._studies or not is_uid(image_id):
            return study, image
        of_series = self.web.study_of_series(image_id)
        return (of_series, image_id) if of_series in self._studies else (study, image)


def _unopened(study: PacsStudy) -> StudyFiles:
    """A listed study without sources."""
    return StudyFiles(study.uid, {}, study.patient or study.uid, study_uid=study.uid)
