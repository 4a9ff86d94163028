"""A series of a PACS lies on the disk complete or not at all, and under a size limit."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.dicom.fake_pacs import FakePacs, served
from tests.studies.tiny_files import dicom_series
from tests.waiting import wait_until
from zeus_app.dicom.web.client import DicomWeb
from zeus_app.errors import BusyError, PacsAwayError, PacsError
from zeus_app.server.pacs.files import PacsFiles, PacsSeries, PacsWaiters
from zeus_app.settings.pacs import PacsSettings, pacs_access

STUDY = "1.2.3"


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[FakePacs]:
    """Three series of three images each."""
    with served(FakePacs()) as running:
        for name in ("a", "b", "c"):
            running.add_files(dicom_series(tmp_path / "source" / name, name).glob("*"))
        yield running


def files_of(
    pacs: FakePacs, folder: Path, *, limit: int = 1 << 20, waiters: PacsWaiters | None = None
) -> PacsFiles:
    web = DicomWeb(pacs_access(pacs.url, PacsSettings(pacs_timeout_s=5), {}))
    return PacsFiles(web, folder / "pacs", limit_bytes=limit, waiters=waiters or PacsWaiters())


def series_of(pacs: FakePacs) -> list[PacsSeries]:
    return [
        PacsSeries(STUDY, uid, tuple(uid_of(file) for file in files))
        for uid, files in pacs.images[STUDY].items()
    ]


def uid_of(file: bytes) -> str:
    return str(pydicom.dcmread(pydicom.filebase.DicomBytesIO(file)).SOPInstanceUID)


def paths_of(files: PacsFiles, series: PacsSeries) -> list[Path]:
    return [files.file_of(series.study_uid, series.uid, image) for image in series.images]


def is_there(files: PacsFiles, series: PacsSeries) -> bool:
    return all(path.exists() for path in paths_of(files, series))


def fetch(files: PacsFiles, series: PacsSeries) -> None:
    with files.local(series):
        assert is_there(files, series)


def test_a_series_is_downloaded_once_and_as_it_is_stored(pacs: FakePacs, tmp_path: Path) -> None:
    files, series = files_of(pacs, tmp_path), series_of(pacs)[0]
    fetch(files, series)
    fetch(files, series)
    assert pacs.count(series.uid) == 1
    stored = pacs.images[STUDY][series.uid]
    assert [path.read_bytes() for path in paths_of(files, series)] == stored


def test_no_uid_is_part_of_a_path(pacs: FakePacs, tmp_path: Path) -> None:
    files = files_of(pacs, tmp_path)
    path = files.file_of("../../etc", "/root", "x\0").relative_to(tmp_path / "pacs" / "series")
    assert all(part.removesuffix(".dcm").isdecimal() for part in path.parts)


@pytest.mark.parametrize("fault", ["half", "drop", 500, "html"])
def test_a_series_that_does_not_come_whole_leaves_nothing(
    pacs: FakePacs, tmp_path: Path, fault: object
) -> None:
    files, series = files_of(pacs, tmp_path), series_of(pacs)[0]
    pacs.fault = {f"/studies/{STUDY}/series/{series.uid}": fault}
    with pytest.raises(PacsError):
        fetch(files, series)
    assert [path.name for path in tmp_path.glob("pacs/*/*/*") if path.is_dir()] == []
    pacs.fault = {}
    fetch(files, series)


def test_a_series_without_one_of_its_images_is_refused(pacs: FakePacs, tmp_path: Path) -> None:
    files, series = files_of(pacs, tmp_path), series_of(pacs)[0]
    pacs.images[STUDY][series.uid].pop()
    with pytest.raises(PacsAwayError, match="without 1 of its 3 images"):
        fetch(files, series)


def test_an_image_without_its_last_pixels_is_refused(pacs: FakePacs, tmp_path: Path) -> None:
    files, series = files_of(pacs, tmp_path), series_of(pacs)[0]
    stored = pacs.images[STUDY][series.uid]
    stored[-1] = stored[-1][:-4]
    with pytest.raises(PacsAwayError, match="without 1 of its 3 images"):
        fetch(files, series)


def test_a_series_that_got_another_image_is_downloaded_again(
    pacs: FakePacs, tmp_path: Path
) -> None:
    files, series = files_of(pacs, tmp_path), series_of(pacs)[0]
    fetch(files, PacsSeries(STUDY, series.uid, series.images[:2]))
    fetch(files, series)
    assert pacs.count(series.uid) == 2


def test_the_oldest_series_is_removed_when_there_is_no_room(pacs: FakePacs, tmp_path: Path) -> None:
    first, second, third = series_of(pacs)
    size = sum(map(len, pacs.images[STUDY][first.uid]))
    files = files_of(pacs, tmp_path, limit=2 * size + size // 2)
    for hour, series in enumerate((first, second), start=1):
        fetch(files, series)
        os.utime(paths_of(files, series)[0].parent, (hour, hour))
    fetch(files, first)  # now the second is the oldest
    fetch(files, third)
    assert [is_there(files, one) for one in (first, second, third)] == [True, False, True]


def test_a_series_in_use_is_never_removed(pacs: FakePacs, tmp_path: Path) -> None:
    first, second, _ = series_of(pacs)
    files = files_of(pacs, tmp_path, limit=1)
    with files.local(first):
        fetch(files_of(pacs, tmp_path, limit=1), second)  # another process would do the same
        assert is_there(files, first)


def test_two_threads_that_want_one_series_wait_for_one_download(
    pacs: FakePacs, tmp_path: Path
) -> None:
    files, series = files_of(pacs, tmp_path), series_of(pacs)[0]
    pacs.fault = {f"/studies/{STUDY}/series/{series.uid}": "slow"}
    threads = [threading.Thread(target=fetch, args=(files, series)) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: pacs.count(series.uid))
    pacs.released.set()
    for thread in threads:
        thread.join()
    assert pacs.count(series.uid) == 1
    assert is_there(files, series)


def test_a_slow_pacs_does_not_take_every_thread(pacs: FakePacs, tmp_path: Path) -> None:
    first, second, _ = series_of(pacs)
    files = files_of(pacs, tmp_path, waiters=PacsWaiters(1))
    pacs.fault = {f"/studies/{STUDY}/series/{first.uid}": "slow"}
    thread = threading.Thread(target=fetch, args=(files, first))
    thread.start()
    wait_until(lambda: pacs.count(first.uid))
    with pytest.raises(BusyError, match="wait for the PACS"):
        fetch(files, second)
    pacs.released.set()
    thread.join()
    fetch(files, second)


def test_nifti_copies_are_removed_before_series(pacs: FakePacs, tmp_path: Path) -> None:
    first, second, _ = series_of(pacs)
    size = sum(map(len, pacs.images[STUDY][first.uid]))
    files = files_of(pacs, tmp_path, limit=2 * size + size // 2)
    fetch(files, first)
    copies = [tmp_path / "pacs" / "volumes" / "phantom" / f"{n}.nii.gz" for n in range(2)]
    copies[0].parent.mkdir(parents=True)
    for hour, copy in enumerate(copies, start=1):
        copy.write_bytes(b"x" * (size // 3))
        os.utime(copy, (hour, 1))
    fetch(files, second)
    assert [copy.exists() for copy in copies] == [False, True]
    assert is_there(files, first)


def test_what_a_killed_process_left_is_removed_later(pacs: FakePacs, tmp_path: Path) -> None:
    files, (first, *_) = files_of(pacs, tmp_path), series_of(pacs)
    left = files.study_folder(STUDY) / ".writing-1"
    left.mkdir(parents=True)
    os.utime(left, (1, 1))
    fetch(files, first)
    assert not left.exists()
