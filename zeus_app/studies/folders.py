"""Group the image files of one folder into studies: one study, or one per prefix.

The part of a name before the sequence's word is the patient.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zeus_app.recognition.image_name import ImageName
from zeus_app.recognition.ranking import Choice, ImageCandidate
from zeus_app.studies.candidates import owner_of, source_of
from zeus_app.studies.layout import Entry
from zeus_app.studies.time_points import time_points, unclear_points
from zeus_app.targets.naming import Names
from zeus_app.types import RejectedStudy, StudyCandidate
from zeus_app.volumes.sources import stem

_BIDS = re.compile(r"(sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?)(?=_)")
_SHOWN = 6  # files in a message


@dataclass(frozen=True)
class NamedImage:
    """A file with what its name says.

    Attributes:
        path: the file.
        name: its name, without the folder's name at its start.
        prefix: the patient's part of the file's name.
        sequences: the target's sequences that it may be.
        is_unclear: whether its T1 may be a time point.
    """

    path: Path
    name: ImageName
    prefix: str
    sequences: tuple[str, ...]
    is_unclear: bool = False

    @property
    def is_image(self) -> bool:
        """Whether it may be a sequence of the target."""
        return bool(self.sequences) and not self.name.is_mask

    @property
    def sequence(self) -> str:
        """The sequence of the target that it is; "" if that is unclear."""
        is_clear = self.is_image and len(self.name.sequences) == 1 and not self.is_unclear
        return self.sequences[0] if is_clear else ""


def read_folder(
    folder: Path, name: str, entries: Sequence[Entry], names: Names, *, is_root: bool
) -> list[StudyCandidate | RejectedStudy]:
    """Group the image files of one folder into studies.

    Args:
        folder: the folder.
        name: the study's name if the whole folder is one study.
        entries: the image files, sorted; at least one.
        names: how names are read.
        is_root: whether this is the studies folder. It is no patient; its files are grouped by
            prefix.
    """
    images = _with_leads(_named(entries, folder.name, names), is_root=is_root)
    groups: dict[str, list[NamedImage]] = defaultdict(list)
    for image in images:
        if image.is_image:
            groups[image.prefix].append(image)
    if not groups and is_root:
        return [_no_sequence(stem(image.path), folder, [image], names) for image in images]
    if not _are_patients(groups, is_root=is_root):
        prefix = next(iter(groups)) if is_root and len(groups) == 1 else ""
        return [_one_study(prefix or name, prefix, folder, images, names)]
    return _study_per_prefix(folder, "" if is_root else f"{name}_", images, groups, names)


def _with_leads(images: Sequence[NamedImage], *, is_root: bool) -> list[NamedImage]:
    """The images; those of patients called like a word of the field get their prefix.

    `Long_T1` beside `Adams_T1` is of the patient Long, so that no study has images of both.
    """
    unnamed = [image for image in images if image.is_image and not image.prefix]
    prefixes = {image.prefix for image in images if image.is_image} - {""}
    if not prefixes or not all(image.name.lead for image in unnamed):
        return list(images)
    found = [replace(i, prefix=i.name.lead) if i in unnamed else i for i in images]
    shown: dict[str, set[str]] = defaultdict(set)
    for image in found:
        if image.is_image:
            shown[image.prefix].update(image.sequences)
    is_each_a_study = all(len(sequences) > 1 for sequences in shown.values())
    return found if is_root or is_each_a_study else list(images)


def _are_patients(groups: dict[str, list[NamedImage]], *, is_root: bool) -> bool:
    """Whether each prefix is a study, or all files together are one."""
    if len(groups) < 2 or "" in groups:
        return False
    sequences = [{image.sequences for image in group} for group in groups.values()]
    repeats = len(set().union(*sequences)) < sum(map(len, sequences))
    # Prefixes with one sequence each (03_flair, 04_t1, 05_t1) are numbers of series.
    is_numbered = len(set().union(*sequences)) > 1 and all(len(each) == 1 for each in sequences)
    return is_root or (repeats and not is_numbered)


def _named(entries: Sequence[Entry], folder: str, names: Names) -> list[NamedImage]:
    """What the names of the files say."""
    texts = [entry.text for entry in entries]
    points, unclear = time_points(texts, names), unclear_points(texts, names)
    shared = _shared([entry.text for entry in entries if not entry.is_moved], names)
    images = [
        _name(entry, folder, names, skip=max(shared, points.get(entry.text, 0)))
        for entry in entries
    ]
    return [
        replace(image, is_unclear=entry.text in unclear and entry.text not in points)
        for image, entry in zip(images, entries, strict=True)
    ]


def _shared(texts: Sequence[str], names: Names) -> int:
    """Length of the patient's part at the start that all names share, up to a word for masks."""
    if len(texts) < 2:
        return 0
    shared = 0
    for column in zip(*(names.read(text).words for text in texts), strict=False):
        first = column[0]
        if any((word.text, word.end) != (first.text, first.end) for word in column):
            break
        if first.facet == "mask" or any(first.end == len(text) for text in texts):
            break
        if first.facet in {"", "number"}:
            shared = first.end
    return shared


def _name(entry: Entry, folder: str, names: Names, *, skip: int) -> NamedImage:
    text = entry.text
    if entry.is_moved:
        skip = 0
    elif text.startswith(folder) and len(text) > len(folder):
        skip = max(skip, len(folder))
    name = names.read(text[skip:])
    prefix = entry.prefix
    if prefix is None:
        bids = _BIDS.match(text)
        prefix = bids.group(1) if bids else text[: skip + name.start].rstrip("_-. ")
    return NamedImage(entry.path, name, prefix, names.sequences(name))


def _study_per_prefix(
    folder: Path,
    shared: str,
    images: Sequence[NamedImage],
    groups: Iterable[str],
    names: Names,
) -> list[StudyCandidate | RejectedStudy]:
    """One study for each prefix in `groups`, and a rejected one for each file without prefix."""
    owned: dict[str | None, list[NamedImage]] = defaultdict(list)
    for image in images:
        owner = image.prefix if image.is_image else owner_of(stem(image.path), groups)
        owned[owner].append(image)
    studies: list[StudyCandidate | RejectedStudy] = [
        _one_study(shared + prefix, prefix, folder, owned[prefix], names) for prefix in groups
    ]
    strays = [image for image in owned[None] if not image.name.is_mask]
    studies += [_no_sequence(shared + stem(i.path), folder, [i], names) for i in strays]
    return studies


def _one_study(
    name: str, prefix: str, folder: Path, images: Sequence[NamedImage], names: Names
) -> StudyCandidate | RejectedStudy:
    """A study of these files, or the reason why they are none."""
    if not any(image.is_image for image in images):
        return _no_sequence(name, folder, images, names)
    choice = Choice()
    for sequence in names.target.sequence_names:
        found = [image for image in images if image.sequence == sequence]
        choice.add(sequence, [_candidate(image) for image in found])
    for image in images:
        if not image.sequence and not image.name.is_mask:
            choice.leave_out([image.path], _why_unused(image, names))
    masks = tuple(image.path for image in images if image.name.is_mask)
    if not choice.sources:
        files = tuple(image.path for image in images if image.is_image)
        reasons = "; ".join(dict.fromkeys(unused.reason for unused in choice.unused))
        return RejectedStudy(name, folder, files, reasons)
    return StudyCandidate(
        name,
        folder,
        choice.sources,
        prefix=prefix,
        evidence=choice.evidence,
        unused=tuple(choice.unused),
        masks=masks,
    )


def _candidate(image: NamedImage) -> ImageCandidate:
    traits = image.name.traits
    if image.name.sequence == "T1Gd":
        traits -= {"after contrast"}
    return ImageCandidate(
        name=image.path.name,
        source=source_of(image.path),
        evidence=f"{image.path.name}: {image.name.evidence}",
        traits=traits,
        extra=image.name.extra,
        b_value=image.name.b_value,
    )


def _why_unused(image: NamedImage, names: Names) -> str:
    """Why a file is no sequence of the study."""
    file, shown = image.path.name, image.name.sequences
    if image.is_unclear:
        return f"{file}: T1 may be the weighting or a time point. List the study in cases.yaml"
    if len(shown) > 1:
        return f"{file} could be {' or '.join(shown)}. Rename it, or list the study in cases.yaml"
    if shown:
        return f"{file} shows {shown[0]} ({image.name.evidence}), no sequence of the target"
    return (
        f"{file}: its name tells no sequence. Rename it, add its word to the aliases in the"
        " target's YAML, or list the study in cases.yaml"
    )


def _no_sequence(
    name: str, folder: Path, images: Sequence[NamedImage], names: Names
) -> RejectedStudy:
    paths = [image.path for image in images]
    listed = ", ".join(path.name for path in paths[:_SHOWN])
    reason = (
        f"no file name holds a sequence of the target ({names.listed}):"
        f" {listed}{' ...' if len(paths) > _SHOWN else ''}. Add the word that your files use to the"
        " aliases in the target's YAML, or list the study in cases.yaml"
    )
    only_masks = all(image.name.is_mask for image in images)
    return RejectedStudy(name, folder, tuple(paths), reason, only_masks=only_masks)
