"""Read studies: the volumes of all sequences, as stored. Make studies of uploaded files."""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zeus_app.errors import InputError, PacsError
from zeus_app.settings.file_names import readable
from zeus_app.studies.candidates import source_of
from zeus_app.studies.find import find_studies
from zeus_app.studies.patients import patient_by_name
from zeus_app.targets import Target
from zeus_app.targets.naming import Names
from zeus_app.types import Study, StudyFiles, UnusedImage, VolumeSource
from zeus_app.volumes.sources import stem

logger = logging.getLogger(__name__)


def read_study(files: StudyFiles) -> Study:
    """Load the sequences of a study whose voxels can be used.

    Returns:
        The sequences, and for each other one the reason. Nothing replaces its voxels.

    Raises:
        InputError: no sequence can be used. The message names the files and the reasons.
    """
    study, errors = read_sequences(files)
    if not study.volumes:
        raise none_usable(files, errors)
    return study


def read_sequences(files: StudyFiles) -> tuple[Study, Mapping[str, InputError]]:
    """Load the sequences that can be used: maybe none. Also returns the others' errors."""
    volumes, errors = {}, {}
    for name, source in files.sources.items():
        try:
            volumes[name] = source.load()
        except PacsError:
            raise  # a PACS that does not answer makes no sequence unusable
        except InputError as error:
            errors[name] = error
            logger.warning("%s of study %s: %s", name, files.id, error)
    reasons = {name: reason_of(error, files.sources[name]) for name, error in errors.items()}
    return Study(files.id, volumes, reasons), errors


def none_usable(files: StudyFiles, errors: Mapping[str, InputError]) -> InputError:
    """One error for a study without a usable sequence."""
    if len(errors) == 1:
        return next(iter(errors.values()))
    return InputError(
        f"study {files.id!r} without a usable sequence: {' '.join(map(str, errors.values()))}",
        expected="at least one sequence whose voxels can be used",
        remedy="repair its files as told, or remove them",
    )


def reason_of(error: InputError, source: VolumeSource) -> str:
    """Why a source cannot be used, for users. Files are named without the folders above them."""
    folder = source.files[0].parent
    return str(error).replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name)


def without(files: StudyFiles, reasons: Mapping[str, str]) -> StudyFiles:
    """The study without some sequences: name -> the reason. They become unused images."""
    left_out = [name for name in files.sources if name in reasons]
    images = [UnusedImage(files.sources[n].files, f"{n}: {reasons[n]}") for n in left_out]
    return replace(
        files,
        sources={name: source for name, source in files.sources.items() if name not in reasons},
        evidence={name: why for name, why in files.evidence.items() if name not in reasons},
        unused=(*files.unused, *images),
    )


def read_one_file(path: Path, target: Target, study_id: str, *, sequence: str = "") -> StudyFiles:
    """Make a study of an upload: one file, or a session's folder of files.

    The sequence of a single file is `sequence`, else the one in its name, else the target's
    preferred reference.

    Raises:
        InputError: the path does not exist, its name tells another sequence or several, or the
            folder does not hold exactly one study.
    """
    if path.is_dir():
        return _one_of_folder(path, target, study_id)
    if not path.exists():
        raise InputError(
            f"{path} does not exist", expected="an image file", remedy="upload the file again"
        )
    name = sequence or sequence_from_name(stem(path), target)
    sources = {name or target.reference_of(target.sequence_names): source_of(path)}
    return StudyFiles(study_id, sources, patient_by_name(study_id))


def sequence_from_name(name: str, target: Target) -> str | None:
    """The sequence that a file's name spells; None if it spells none.

    Raises:
        InputError: the name spells several, or one that is no sequence of the target.
    """
    names = Names.of(target)
    said = names.read(name)
    sequence = names.sequence(said)
    if said.sequences and not sequence:
        raise InputError(
            f"{readable(name)}, whose name says {' or '.join(said.sequences)}",
            expected=f"a name that says one of {names.listed}, or none",
            remedy=f"rename the file, for example {target.sequence_names[0]}.nii.gz",
        )
    return sequence or None


def _one_of_folder(folder: Path, target: Target, study_id: str) -> StudyFiles:
    catalog = find_studies(folder, target, is_upload=True)
    if len(catalog.studies) != 1:
        reasons = "; ".join(problem.reason for problem in catalog.problems)
        raise InputError(
            f"{len(catalog.studies)} studies in the uploaded folder. {reasons}".strip(),
            expected="the files of one study",
            remedy="send one file per sequence, named after it, for example t2.nii.gz",
        )
    return replace(next(iter(catalog.studies.values())), id=study_id)
