"""Read studies: the volumes of all sequences, as stored. Make studies of uploaded files."""

from dataclasses import replace
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.studies.candidates import source_of
from zeus_app.studies.find import find_studies
from zeus_app.studies.patients import patient_by_name
from zeus_app.targets import Target
from zeus_app.targets.naming import Names
from zeus_app.types import Study, StudyFiles
from zeus_app.volumes.sources import stem


def read_study(files: StudyFiles) -> Study:
    """Load every sequence of a study.

    Raises:
        InputError: a sequence cannot be used. The message names its file and the reason.
    """
    return Study(files.id, {name: source.load() for name, source in files.sources.items()})


def read_one_file(path: Path, target: Target, study_id: str, *, sequence: str = "") -> StudyFiles:
    """Make a study of an upload: one file, or a session's folder of files.

    The sequence of a single file is `sequence`, else the one in its name, else the target's
    preferred reference.

    Raises:
        InputError: the path does not exist, or the folder does not hold exactly one study.
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
    """The sequence that a file's name spells; None if it spells none."""
    names = Names.of(target)
    return names.sequence(names.read(name)) or None


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
