"""The files in which uploads are saved: `<quoted id>~<quoted sequence>.nii.gz`."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from zeus_app.errors import InputError
from zeus_app.settings.registry import lookup
from zeus_app.storage.state import folder_name
from zeus_app.studies.find import Catalog
from zeus_app.studies.read import read_one_file, sequence_from_name
from zeus_app.targets import Target
from zeus_app.types import StudyFiles, StudyProblem
from zeus_app.volumes.sources import is_volume, stem
from zeus_app.volumes.uploads import check_upload

_MAX_QUOTED_ID = 160  # characters; the sequence and the ending follow
_SEQUENCE_MARK = "~"  # stands between the quoted id and the sequence; quoting removes it from ids


def upload_name(study: str, sequence: str, file: Path) -> str:
    """The file name under which an upload is saved.

    Args:
        study: the study's id; checked by `refuse_unsafe`.
        sequence: the sequence that the file holds.
        file: the uploaded file, whose ending is kept.
    """
    ending = file.name[len(stem(file)) :].lower()
    return f"{_quoted(study)}{_SEQUENCE_MARK}{folder_name(sequence)}{ending}"


def sequence_of(file: Path, study: str, target: Target) -> str:
    """The sequence of an upload: in the file's name, else in the study's; else the reference."""
    return (
        sequence_from_name(stem(file), target)
        or sequence_from_name(study, target)
        or target.reference_of(target.sequence_names)
    )


def uploaded_id(path: Path) -> str:
    """The study id of a saved upload."""
    return unquote(stem(path).partition(_SEQUENCE_MARK)[0])


def uploaded_study(path: Path, target: Target) -> StudyFiles:
    """The study of a saved upload.

    Raises:
        UnknownNameError: the target has no such sequence.
        InputError: the file cannot be read.
    """
    _, mark, quoted = stem(path).partition(_SEQUENCE_MARK)
    if not mark:  # saved by a version that did not write sequences into file names
        return read_one_file(path, target, uploaded_id(path))
    names = {folder_name(sequence): sequence for sequence in target.sequence_names}
    sequence = lookup("sequence", quoted, names)
    return read_one_file(path, target, uploaded_id(path), sequence=sequence)


def with_uploads(found: Catalog, folder: Path, target: Target, *, max_voxels: int) -> Catalog:
    """The content of the studies folder, and the uploads whose ids are not taken.

    Args:
        found: what was found in the studies folder.
        folder: the uploads.
        target: the sequences.
        max_voxels: most voxels of an upload.
    """
    studies, problems = dict(found.studies), list(found.problems)
    for path in sorted(folder.glob("*")):
        study = uploaded_id(path)
        if not is_volume(path) or path.is_dir() or study in studies:
            continue
        try:
            check_upload(path, max_voxels=max_voxels)
            studies[study] = uploaded_study(path, target)
        except InputError as error:
            problems.append(StudyProblem(study, (path,), str(error)))
    former = replace(found.former, known=frozenset((*found.former.known, *studies)))
    return Catalog(studies, tuple(problems), former)


def refuse_unsafe(image_id: str, name: str) -> None:
    """Refuse an id that could leave its folder, or that cannot be part of a file name.

    Args:
        image_id: as the client sent it.
        name: the same without the ending of an image file.

    Raises:
        InputError: says which characters or which length is allowed.
    """
    unsafe = {"/", "\\"} & set(image_id) or ".." in name or name.startswith(".")
    if unsafe or not (name.strip() and name.isprintable()):
        raise InputError(
            f"image id {image_id!r}",
            expected="a name without slashes, control characters and two dots in a row",
            remedy="send a plain name, for example patient_012",
        )
    if len(_quoted(name)) > _MAX_QUOTED_ID:
        raise InputError(
            f"image id {image_id!r} of {len(_quoted(name))} characters, percent-encoded",
            expected=f"at most {_MAX_QUOTED_ID} characters, percent-encoded",
            remedy="send a shorter name, for example patient_012",
        )


def _quoted(study: str) -> str:
    """An id as the first part of a file name; `unquote` gives the id back."""
    return folder_name(study).replace(_SEQUENCE_MARK, "%7E")
