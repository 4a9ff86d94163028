"""Place image files in studies by their folders.

Most folders of images are a study, or hold several. Two layouts have a folder for each sequence:

- below the patient: `anna/1_T1/NIFTI/scan.nii.gz`, `anna/scans/4-FLAIR/image.nii.gz`;
- above the patients: `T1/anna.nii.gz`, `FLAIR/anna/image.nii.gz`.

Their files are placed in the study's folder, with the sequence's folder as a part of their name.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zeus_app.recognition.image_name import ImageName
from zeus_app.recognition.vocabulary import shipped_vocabulary
from zeus_app.targets.naming import Names
from zeus_app.volumes.sources import stem

_SESSION = re.compile(r"sub-[A-Za-z0-9]+_ses-[A-Za-z0-9]+")
_SERIES_PARENTS = frozenset({"scan", "scans", "series"})
_T1_FAMILY = frozenset({"T1", "T1Gd", "T1-in", "T1-out", "T1-water", "T1-fat"})


@dataclass(frozen=True)
class Entry:
    """An image file, and the study in which it counts.

    Attributes:
        path: the file.
        folder: the folder of its study.
        text: the name that tells its sequence: its own, or that of its folder before it.
        prefix: the patient's part of its name, if the folders tell it; None if the name tells it.
    """

    path: Path
    folder: Path
    text: str
    prefix: str | None = None

    @property
    def is_moved(self) -> bool:
        """Whether its study's folder is not its own."""
        return self.prefix is not None


def place_files(
    root: Path, files: Mapping[Path, Sequence[Path]], names: Names
) -> dict[Path, list[Entry]]:
    """Place files in the folders of their studies.

    Args:
        root: the studies folder.
        files: folder -> its image files.
        names: how names are read.

    Returns:
        folder of a study, or of several -> its files. The order is that of `files`.
    """
    tree = _Tree(root, files, names)
    placed: dict[Path, list[Entry]] = defaultdict(list)
    for folder, paths in files.items():
        for path in paths:
            entry = tree.place(path, folder)
            placed[entry.folder].append(entry)
    return dict(placed)


@dataclass
class _Tree:
    root: Path
    files: Mapping[Path, Sequence[Path]]
    names: Names
    _kinds: dict[Path, str] = field(default_factory=dict)

    def place(self, path: Path, folder: Path) -> Entry:
        """Where a file counts."""
        at, passed = folder, list[str]()
        while at != self.root and self.kind(at) in {"container", "one"}:
            passed.insert(0, at.name)
            at = at.parent
        above = [at, *at.parents][: len(at.relative_to(self.root).parts)]
        many = next((parent for parent in above if self.kind(parent) == "many"), None)
        if many is not None:
            return self._of_many(path, many, folder)
        if not any(self._own(self.root, folder, name) for name in passed):
            return Entry(path, folder, stem(path))
        return Entry(path, at, " ".join([*passed, stem(path)]), prefix="")

    def _own(self, root: Path, folder: Path, name: str) -> bool:
        """Whether a passed folder is that of a sequence, not only a container."""
        parents = [folder, *folder.parents]
        return any(p.name == name and self.kind(p) == "one" for p in parents if p != root)

    def _of_many(self, path: Path, many: Path, folder: Path) -> Entry:
        """A file below the folder of one sequence of many patients."""
        inside = [part for part in folder.relative_to(many).parts if not is_container(part)]
        text = f"{many.name} {stem(path)}"
        if inside:
            return Entry(path, many.parent.joinpath(*inside), text, prefix="")
        return Entry(path, many.parent, text, prefix=self._patient(path))

    def kind(self, folder: Path) -> str:
        """What a folder is: "container", or a sequence's folder of "one" or "many" patients.

        Empty for all others.
        """
        if folder not in self._kinds:
            self._kinds[folder] = self._kind(folder)
        return self._kinds[folder]

    def _kind(self, folder: Path) -> str:
        if folder == self.root:
            return ""
        images = self.below.get(folder, [])
        if is_container(folder.name):
            if self._is_numbered_series(folder):
                return "one"
            return "container" if len({self._key(folder, path) for path in images}) < 2 else ""
        is_series = folder.parent.name.lower() in _SERIES_PARENTS and folder.parent != self.root
        if is_series and folder.name.isdecimal():
            return "one" if len(images) == 1 else ""
        if not images or not self._is_of_one_sequence(folder, images):
            return ""
        keys = {self._key(folder, path) for path in images}
        return "one" if len(keys) == 1 else "many"

    def _is_numbered_series(self, folder: Path) -> bool:
        """Whether folders such as anat1, anat2 and anat3 hold an image each of one session."""
        base = _without_number(folder.name)
        if base == folder.name.lower():
            return False
        siblings = [
            images
            for path, images in self.below.items()
            if path.parent == folder.parent and _without_number(path.name) == base
        ]
        shown = [self.names.read(stem(images[0])) for images in siblings if len(images) == 1]
        sessions = {_SESSION.match(name.name) for name in shown}
        names = {match.group() if match else "" for match in sessions}
        is_session = len(names) == 1 and names != {""}
        is_distinct = len({name.sequences for name in shown}) == len(shown)
        return len(shown) == len(siblings) and (is_session or is_distinct)

    def _is_of_one_sequence(self, folder: Path, images: Sequence[Path]) -> bool:
        """Whether the folder names a sequence, and no folder or file below it names another."""
        shown = self.names.read(_without(folder.parent.name, folder.name)).sequences
        if len(shown) != 1:
            return False
        below = {part for path in images for part in path.parent.relative_to(folder).parts}
        texts = [_without(folder.name, part) for part in below] + [stem(path) for path in images]
        return all(_agrees(shown[0], self.names.read(text)) for text in texts)

    def _key(self, folder: Path, path: Path) -> tuple[str, ...]:
        """What tells the patients apart below a sequence's folder."""
        inside = path.parent.relative_to(folder).parts
        patients = [part for part in inside if not is_container(part) and not self._names_it(part)]
        if any(self._names_it(part) for part in inside) or patients:
            return tuple(patients)
        return (self._patient(path),)

    def _names_it(self, name: str) -> bool:
        return len(self.names.read(name).sequences) == 1

    def _patient(self, path: Path) -> str:
        """The patient's part of a file's name."""
        name = stem(path)
        said = self.names.read(name)
        if said.sequences:
            return name[: said.start].rstrip("_-. ")
        ends = [word.start for word in said.words if word.facet in {"processing", "projection"}]
        return name[: min(ends, default=len(name))].rstrip("_-. ") or name

    @cached_property
    def below(self) -> dict[Path, list[Path]]:
        """Folder -> the images below it, without masks."""
        found: dict[Path, list[Path]] = defaultdict(list)
        for folder, paths in self.files.items():
            images = [path for path in paths if not self.names.read(stem(path)).is_mask]
            for parent in (folder, *folder.parents):
                found[parent] += images
                if parent == self.root:
                    break
        return found


def is_container(name: str) -> bool:
    """Whether a folder of this name holds images of the study above it: `NIFTI`, `anat2`."""
    return _without_number(name) in shipped_vocabulary().containers


def _without_number(folder: str) -> str:
    return folder.lower().rstrip("0123456789_- ")


def _without(parent: str, name: str) -> str:
    """A folder's name without its parent's at its start."""
    return name[len(parent) :] if name.startswith(parent) else name


def _agrees(shown: str, name: ImageName) -> bool:
    """Whether a file may lie in the folder of this sequence."""
    if not name.sequences or shown in name.sequences:
        return True
    return shown in _T1_FAMILY and bool(_T1_FAMILY.intersection(name.sequences))
