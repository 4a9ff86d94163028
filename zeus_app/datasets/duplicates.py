"""Files of a dataset with the same content: a case that was copied under another name."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from zeus_app.datasets.dataset import DataProblem, Dataset


def find_duplicates(dataset: Dataset) -> Iterator[DataProblem]:
    """Images, and masks, that are equal byte by byte. Only files of equal size are read."""
    owners: dict[tuple[Path, ...], str] = {}
    for case in dataset.cases:
        images = [source.files for source in case.sources.values()]
        masks = [truth.files for truth in case.truths.values()]
        owners |= {files: owners.get(files, case.id) for files in (*images, *masks)}
    for group in _equal(owners):
        first, *others = group
        for files in others:
            text = f"{_shown(files)} has the content of {_shown(first)} of case {owners[first]}"
            yield DataProblem(owners[files], text, (files[0], first[0]))


def _equal(all_files: Iterable[tuple[Path, ...]]) -> Iterator[list[tuple[Path, ...]]]:
    by_size: dict[tuple[int, ...], list[tuple[Path, ...]]] = defaultdict(list)
    for files in filter(_are_regular, all_files):
        with suppress(OSError):  # told as unreadable
            by_size[tuple(path.stat().st_size for path in files)].append(files)
    for same_size in by_size.values():
        if len(same_size) < 2:
            continue
        by_content: dict[str, list[tuple[Path, ...]]] = defaultdict(list)
        for files in same_size:
            with suppress(OSError):
                by_content[_digest(files)].append(files)
        yield from (group for group in by_content.values() if len(group) > 1)


def _are_regular(files: Iterable[Path]) -> bool:
    """Whether no file is a pipe, which may never end."""
    return all(path.is_file() for path in files)


def _digest(files: Iterable[Path]) -> str:
    content = sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
    return content.hexdigest()


def _shown(files: tuple[Path, ...]) -> str:
    return files[0].name if len(files) == 1 else f"{files[0].parent.name} ({len(files)} files)"
