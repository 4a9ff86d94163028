"""The series of a PACS on this machine's disk: complete or not at all, and under a size limit.

    <folder>/series/<study>/<series>/<image>.dcm   a whole series; the names are digits of hashes
    <folder>/series/<study>/<series>.lock          held by who reads, writes or removes the series
    <folder>/series/<study>/.writing-...           what a killed process left; removed later
    <folder>/volumes/<target>/                     NIfTI copies for clients

No name that a PACS sends is part of a path. The locks hold between processes: a training reads
while the server removes other series.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pydicom
from pydicom.pixel_data_handlers.util import get_expected_length

from zeus_app.dicom.web.client import DicomWeb
from zeus_app.errors import BusyError, PacsAwayError
from zeus_app.storage.atomic import new_folder
from zeus_app.storage.file_lock import file_lock, free_lock, shared_lock
from zeus_app.types import MIB

MOST_WAITING = 16
"""Threads of a server that may wait for the PACS. The others stay free for other requests."""
_RETRY_AFTER_S = 10
_LEFT_OVER_S = 3600  # after which a temporary folder is what a killed process left
_DIGITS = 24
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PacsSeries:
    """One series of a PACS.

    Attributes:
        study_uid, uid: its Study and Series Instance UID.
        images: SOP Instance UIDs of all its images, as their headers name them.
    """

    study_uid: str
    uid: str
    images: tuple[str, ...]


class PacsWaiters:
    """Counts the threads that wait for a PACS, so that it never takes all threads of a server."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._free = threading.BoundedSemaphore(most)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for the PACS in the body. Raises BusyError if too many others wait already."""
        if not self._free.acquire(blocking=False):
            raise BusyError("too many requests wait for the PACS", retry_after_s=_RETRY_AFTER_S)
        try:
            yield
        finally:
            self._free.release()


class PacsFiles:
    """The downloaded series.

    Args:
        web: the PACS.
        folder: where they lie, with the NIfTI copies of some.
        limit_bytes: of all of them and the copies together. The oldest unused ones go first.
        waiters: counts who waits for a download.
    """

    def __init__(
        self, web: DicomWeb, folder: Path, *, limit_bytes: int, waiters: PacsWaiters
    ) -> None:
        self._web = web
        self._folder, self._copies = folder / "series", folder / "volumes"
        self._limit, self._waiters = limit_bytes, waiters
        self._sizes: dict[Path, int] = {}  # of whole series, which do not change

    def study_folder(self, study_uid: str) -> Path:
        """The folder of a study's series. It need not exist."""
        return self._folder / digits_of(study_uid)

    def file_of(self, study_uid: str, series_uid: str, image_uid: str) -> Path:
        """Where an image lies once its series is downloaded."""
        folder = self.study_folder(study_uid) / digits_of(series_uid)
        return folder / f"{digits_of(image_uid)}.dcm"

    @contextmanager
    def local(self, series: PacsSeries) -> Iterator[None]:
        """The files of a series lie on the disk in the body. Downloads them if they do not.

        Threads and processes that ask for the same series wait for one download.

        Raises:
            PacsError: the PACS does not send the whole series; nothing of it is kept.
            BusyError: too many threads wait for downloads.
            OSError: the disk is full.
        """
        folder = self.study_folder(series.study_uid) / digits_of(series.uid)
        lock = folder.with_suffix(".lock")
        while True:
            if not self._is_whole(series):
                with self._waiters.waiting(), file_lock(lock):
                    if not self._is_whole(series):
                        self._download(series, folder)
            with shared_lock(lock):
                if self._is_whole(series):  # it may have been removed meanwhile
                    os.utime(folder)  # the newest use decides what is removed
                    yield
                    return

    def _is_whole(self, series: PacsSeries) -> bool:
        path = self.file_of(series.study_uid, series.uid, "").parent
        names = set(os.listdir(path)) if path.is_dir() else set()
        return all(f"{digits_of(image)}.dcm" in names for image in series.images)

    def _download(self, series: PacsSeries, folder: Path) -> None:
        began_s = time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)  # of a series that got more images
        with new_folder(folder) as temporary:
            received = self._received(series, temporary)
            if missing := len(set(series.images) - received):
                raise PacsAwayError(
                    f"the PACS sent series {series.uid} without {missing} of its"
                    f" {len(series.images)} images",
                    expected="the whole series",
                    remedy="try again; if it happens again, look the series up in the PACS",
                )
        size = self._sizes[folder] = _size_of(folder)
        logger.info(
            "Zeus: series %s is here: %d images, %.1f MiB, %.1f s", series.uid,
            len(series.images), size / MIB, time.monotonic() - began_s,
        )  # fmt: skip
        self._make_room(folder)

    def _received(self, series: PacsSeries, temporary: Path) -> set[str]:
        """Write the images of a series; the SOP Instance UIDs of those that are complete."""
        expected, received = set(series.images), set()
        for image in self._web.retrieve_series(series.study_uid, series.uid):
            uid = str(image.get("SOPInstanceUID", ""))
            if uid in expected and _is_complete(image):
                _write(image, temporary / f"{digits_of(uid)}.dcm")
                received.add(uid)
        return received

    def _make_room(self, kept: Path) -> None:
        """Remove the oldest unused series until all are within the limit.

        Args:
            kept: the series that was just downloaded.
        """
        paths = [path for path in self._folder.glob("*/*") if path.is_dir()]
        series = {path: self._sizes.get(path) or _size_of(path) for path in paths}
        self._sizes = series
        copies = {path: path.stat().st_size for path in self._copies.glob("*/*.nii.gz")}
        total = sum(series.values()) + sum(copies.values())
        for path in sorted(copies, key=lambda path: path.stat().st_atime_ns):
            if total > self._limit:
                path.unlink(missing_ok=True)
                total -= copies[path]
        for path in sorted(series.keys() - {kept}, key=_used_ns):
            if path.name.startswith("."):
                if _used_ns(path) < time.time_ns() - _LEFT_OVER_S * 10**9:
                    shutil.rmtree(path, ignore_errors=True)
            elif total > self._limit and self._removed(path):
                total -= series[path]
        if total > self._limit:
            logger.warning(
                "Zeus: the series in use take %.0f MiB, more than pacs_mib allows; raise pacs_mib",
                total / MIB,
            )

    def _removed(self, folder: Path) -> bool:
        """Remove a series unless somebody uses it; tells whether it was removed."""
        with free_lock(folder.with_suffix(".lock")) as is_held:
            if is_held:
                shutil.rmtree(folder, ignore_errors=True)
            return is_held


def digits_of(uid: str) -> str:
    """A name for a UID that holds digits alone, so that no sequence is read into it."""
    return str(int(sha256(uid.encode()).hexdigest(), 16))[:_DIGITS].zfill(_DIGITS)


def _is_complete(image: pydicom.FileDataset) -> bool:
    """Whether no pixel is missing. The end of a compressed image is checked by its reader."""
    if "Rows" not in image:
        return True
    if not any(name in image for name in _PIXELS):
        return False
    is_compressed = image.file_meta.TransferSyntaxUID.is_encapsulated
    if is_compressed or "PixelData" not in image:
        return True
    return len(image.PixelData) >= int(get_expected_length(image))


def _write(image: pydicom.FileDataset, path: Path) -> None:
    """Write an image as it came, and wait until the disk has it."""
    with path.open("wb") as file:
        image.save_as(file, write_like_original=True)
        file.flush()
        os.fsync(file.fileno())


def _size_of(folder: Path) -> int:
    with suppress(OSError), os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries)
    return 0


def _used_ns(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0
