"""Where masks lie among the studies, and which study each belongs to.

A mask lies near its study in the study's folder, in a folder for masks in it or beside it, or where
the layout says. It lies far in other folders below the study's, and in folders for masks elsewhere:
`labels/anna/seg.nii.gz`, `derivatives/labels/sub-01/anat/sub-01_lesion.nii.gz`. Folders and names
of a far mask must tell its study.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zeus_app.labels.mask_folders import walk_folders
from zeus_app.studies.candidates import files_of, owner_of
from zeus_app.studies.layout import is_container
from zeus_app.targets.naming import MASK_FOLDERS, Names, safe_id
from zeus_app.types import StudyCandidate
from zeus_app.volumes.formats import unread_format
from zeus_app.volumes.sources import is_volume, stem

_NO_STUDY = "no study that can be used is called so"
_MOST_LISTED = 5  # studies in a message
_ENTITY = re.compile(r"(?:^|_)((?:sub|ses)-[A-Za-z0-9]+)")
_VISIT = re.compile(
    r"(ses|visit|session|tp|time|scan|exam|baseline|follow|pre|post|day|week|month|year|t?\d+$|\d{4})",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class FoundMasks:
    """The files that may be masks. They may be masks of other structures, or other images.

    Attributes:
        near: study id -> files in the study's folder or in a folder for masks in or beside it.
        far: study id -> files elsewhere.
        placed: those of all files that lie in folders for masks.
        strays: file named or placed as a mask that belongs to no study -> the reason.
    """

    near: Mapping[str, tuple[Path, ...]]
    far: Mapping[str, tuple[Path, ...]]
    placed: frozenset[Path]
    strays: Mapping[Path, str]


def search_files(
    root: Path,
    studies: Mapping[str, StudyCandidate],
    names: Names,
    *,
    skip: Collection[Path] = (),
) -> FoundMasks:
    """Search all folders for files that may be masks. Only names are read.

    Args:
        root: the studies folder.
        studies: study id -> study.
        names: how the target's names are read.
        skip: folders that are not searched.
    """
    places = _Places(root, studies, names)
    images = {path for study in studies.values() for path in files_of(study.sources)}
    found = _Found()
    for folder, files in walk_folders(root, skip):
        for path in files:
            if path not in images and (is_volume(path) or unread_format(path)):
                found.add(path, folder, places)
    for study_id, study in studies.items():
        masks = [path for path in study.masks if path not in images]
        found.add_known(study_id, study.label, masks)
    return found.as_masks()


@dataclass
class _Found:
    """The files found so far; see `FoundMasks`."""

    near: dict[str, dict[Path, None]] = field(default_factory=lambda: defaultdict(dict))
    far: dict[str, dict[Path, None]] = field(default_factory=lambda: defaultdict(dict))
    placed: set[Path] = field(default_factory=set)
    strays: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path, folder: Path, places: "_Places") -> None:
        """Add a file to its study, or to the strays."""
        if places.in_mask_folder(folder):
            self.placed.add(path)
        owners, is_near = places.owners(path, folder)
        if len(owners) == 1:
            (self.near if is_near else self.far)[owners[0]][path] = None
        elif places.may_be_mask(path, folder):
            self.strays[path] = _of_several(owners) if owners else _NO_STUDY

    def add_known(self, study_id: str, label: Path | None, masks: Sequence[Path]) -> None:
        """Add what finding the studies has found. A label that the layout names is the only one."""
        if label is None:
            self.near[study_id] |= dict.fromkeys(masks)
        else:
            self.near[study_id], self.far[study_id] = {label: None}, {}

    def as_masks(self) -> FoundMasks:
        """The files, each once."""
        near = {study: tuple(paths) for study, paths in self.near.items()}
        far = {
            study: tuple(path for path in paths if path not in near.get(study, ()))
            for study, paths in self.far.items()
        }
        return FoundMasks(near, far, frozenset(self.placed), self.strays)


def _of_several(owners: Sequence[str]) -> str:
    rest = f" or {len(owners) - _MOST_LISTED} more" if len(owners) > _MOST_LISTED else ""
    return f"it may belong to {' or '.join(owners[:_MOST_LISTED])}{rest}"


@dataclass(frozen=True, eq=False)
class _Around:
    """How files below one folder tell their study.

    Attributes:
        parts: study id -> folders below this one, and the prefix, that a file must repeat.
        calls: name of a study -> ids of the studies with this name.
        known: all these names, and those of folders of patients whose images cannot be used.
    """

    parts: Mapping[str, Sequence[str]]
    calls: Mapping[str, Sequence[str]]
    known: frozenset[str]

    @cached_property
    def by_last(self) -> dict[str, list[str]]:
        """The last of a study's parts, or "" -> the studies."""
        found: dict[str, list[str]] = defaultdict(list)
        for one, parts in self.parts.items():
            found[parts[-1] if parts else ""].append(one)
        return dict(found)

    def best(self, texts: Sequence[str], *, is_own: bool) -> list[str]:
        """The studies of which a file's folders and name tell most.

        Args:
            texts: names of the folders, and of the file without suffix.
            is_own: whether the folder belongs to one patient, so that nothing need be told.
        """
        told = {owner for text in texts if (owner := _longest(text, self.known))}
        told.update(entity for text in texts for entity in _ENTITY.findall(text))
        possible = [one for word in told for one in self.by_last.get(word, ())]
        possible += self.by_last.get("", ()) if is_own else ()
        scores = {
            one: 1 + sum(map(len, self.parts[one]))
            for one in possible
            if told.issuperset(self.parts[one])
        }
        for call in told & self.calls.keys():
            for one in self.calls[call]:
                scores[one] = max(scores.get(one, 0), len(call))
        return [one for one, score in scores.items() if score == max(scores.values())]


def _longest(text: str, known: Collection[str]) -> str:
    """The longest known name that is a whole word at the start of a text; "" if there is none."""
    ends = (end for end in range(len(text), 0, -1) if not text[end : end + 1].isalnum())
    return next((text[:end] for end in ends if text[:end] in known), "")


@dataclass(frozen=True, eq=False)
class _Places:
    """The folders of studies and of masks."""

    root: Path
    studies: Mapping[str, StudyCandidate]
    names: Names
    _mask_folders: dict[Path, bool] = field(default_factory=dict)
    _around: dict[Path, _Around] = field(default_factory=dict)

    def owners(self, path: Path, folder: Path) -> tuple[list[str], bool]:
        """The studies that a file may belong to, and whether it lies near."""
        home = next((at for at in self._up(folder) if at in self.by_folder), None)
        if home is not None:
            between = self._between(folder, home)
            if owners := self._of_home(path, home, between):
                return owners, all(self.is_mask_folder(at) for at in between)
        is_derivative = any(at.name.lower() == "derivatives" for at in self._up(folder))
        if is_derivative or self.may_be_mask(path, folder):
            return self._beside(path, folder)
        return [], False

    def may_be_mask(self, path: Path, folder: Path) -> bool:
        """Whether a file is named as a mask or lies in a folder for masks."""
        return self.in_mask_folder(folder) or self.names.read(stem(path)).is_mask

    def in_mask_folder(self, folder: Path) -> bool:
        """Whether a folder is one for masks, or lies in one."""
        return any(self.is_mask_folder(at) for at in self._up(folder))

    def is_mask_folder(self, folder: Path) -> bool:
        """Whether a folder is named after masks and holds no images of a study."""
        if folder not in self._mask_folders:
            words = self.names.read(folder.name).words
            is_named = folder.name.lower() in MASK_FOLDERS
            is_named = is_named or any(word.meaning == ("mask", "mask") for word in words)
            self._mask_folders[folder] = is_named and folder not in self.with_studies
        return self._mask_folders[folder]

    def _of_home(self, path: Path, home: Path, between: Sequence[Path]) -> list[str]:
        """Studies of the nearest folder with studies. A prefix must begin the file's name."""
        studies = self.by_folder[home]
        prefixes = {self.studies[one].prefix: one for one in studies}
        texts = [stem(path), *(at.name for at in between)]
        if len(prefixes) == len(studies):
            named = [owner for text in texts if (owner := owner_of(text, filter(None, prefixes)))]
            prefix = named[0] if named else ""
            return [prefixes[prefix]] if prefix in prefixes else []
        calls = {call: one for one in studies for call in self._calls(one)}  # of DICOM files
        called = [calls[owner] for text in texts if (owner := _longest(text, calls))]
        return called[:1] or studies

    def _beside(self, path: Path, folder: Path) -> tuple[list[str], bool]:
        """Studies that the folders and the name of a file tell."""
        for at in self._up(folder):
            if at not in self.with_studies:
                continue
            around = self._studies_around(at)
            is_own = at != self.root or len(around.parts) == 1
            texts = [*folder.relative_to(at).parts, stem(path)]
            if found := around.best(texts, is_own=is_own):
                is_beside = all(self.studies[one].folder.parent == at for one in found)
                is_near = self.is_mask_folder(folder) and folder.parent == at
                return found, is_beside and is_near
        return [], False

    def _studies_around(self, at: Path) -> _Around:
        if at not in self._around:
            below = [
                one for one, study in self.studies.items()
                if at in (study.folder, *study.folder.parents)
            ]  # fmt: skip
            parts = _without_common({one: self._parts(at, one) for one in below})
            calls: dict[str, list[str]] = defaultdict(list)
            for one in below:
                for call in set(self._calls(one)):
                    calls[call].append(one)
            siblings = {path.name for path in at.iterdir() if path.is_dir()}
            known = siblings.union(calls, *parts.values())
            self._around[at] = _Around(parts, calls, frozenset(known))
        return self._around[at]

    def _calls(self, study_id: str) -> Iterator[str]:
        study = self.studies[study_id]
        yield from filter(None, (study_id, study.name, safe_id(study.name), *study.former_names))

    def _parts(self, at: Path, study_id: str) -> list[str]:
        study = self.studies[study_id]
        folders = [part for part in study.folder.relative_to(at).parts if not is_container(part)]
        return [*folders, *filter(None, [study.prefix])]

    def _up(self, folder: Path) -> list[Path]:
        """A folder and those above it, up to the root."""
        count = len(folder.relative_to(self.root).parts)
        return [folder, *folder.parents][: count + 1]

    def _between(self, folder: Path, above: Path) -> list[Path]:
        return [at for at in self._up(folder) if above in at.parents]

    @cached_property
    def by_folder(self) -> dict[Path, list[str]]:
        """Folder -> ids of its studies."""
        found: dict[Path, list[str]] = defaultdict(list)
        for study_id, study in self.studies.items():
            found[study.folder].append(study_id)
        return dict(found)

    @cached_property
    def with_studies(self) -> frozenset[Path]:
        """The folders of studies, and those above them."""
        return frozenset(at for folder in self.by_folder for at in (folder, *folder.parents))


def _without_common(parts: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The parts without the folders that hold all studies.

    The folder of a patient with several visits is such a folder too, and stays.
    """
    left = {one: list(names) for one, names in parts.items()}
    while left and all(len(names) > 1 for names in left.values()):
        firsts = {names[0] for names in left.values()}
        is_patient = any(
            names[0].startswith("sub-") or _VISIT.match(names[1]) for names in left.values()
        )
        if len(firsts) > 1 or is_patient:
            break
        left = {one: names[1:] for one, names in left.items()}
    return dict(left)
