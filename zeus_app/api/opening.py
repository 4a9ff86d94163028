"""Open studies by their paths: one image file, or the folder of one study."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.settings.file_names import readable
from zeus_app.settings.registry import lookup
from zeus_app.studies import opened
from zeus_app.studies.find import find_studies
from zeus_app.studies.opened import OpenedStudy
from zeus_app.studies.read import read_one_file, read_study, sequence_from_name
from zeus_app.targets import Target, load_target
from zeus_app.targets.naming import safe_id
from zeus_app.types import StudyFiles
from zeus_app.volumes.sources import stem


def open_study(
    path: str | Path, *, target: str | Path, sequences: Sequence[str] = ()
) -> OpenedStudy:
    """Read a study, align its sequences, and cut them into slices.

    Args:
        path: the folder of one study, or one image file (NIfTI, NRRD, MetaImage).
        target: name of a shipped target such as "brain_tumour", or path of a target's YAML file.
        sequences: names of the sequences to use, such as ["FLAIR"]; empty: all that the study has.
            For one file whose name tells no sequence: the name of what it shows.

    Returns:
        The study. `stack.pixels` are (M, S, 256, 256) float32 in [0, 1]: M sequences of the target,
        S axial slices. `source_grids` maps each sequence of the study to its grid as stored:
        shape (X, Y, Z), and an affine from voxels to RAS mm.

    Raises:
        InputError: there is no such study, it cannot be read, or it has none of the sequences. The
            message says what came, what was expected, and what to do.
        UnknownNameError: no such target, or the target has no such sequence.
    """
    chosen = load_target(str(target))
    return open_files(one_study(Path(path), chosen, sequences), chosen)


def open_files(files: StudyFiles, target: Target) -> OpenedStudy:
    """Open a study whose files are known. Raises InputError as `open_study` does."""
    return opened.open_study(read_study(files), target)


def one_study(path: Path, target: Target, sequences: Sequence[str] = ()) -> StudyFiles:
    """The files of the study at a path; only headers are read. Raises as `open_study` does."""
    if path.is_dir():
        return with_sequences(_of_folder(path, target), sequences, target)
    study_id = safe_id(stem(path))
    if len(sequences) == 1:
        refuse_unknown(sequences, target)
        return read_one_file(path, target, study_id, sequence=sequences[0])
    if path.exists() and sequence_from_name(stem(path), target) is None:
        raise InputError(
            f"{readable(path)}, whose name tells no sequence",
            expected=f"a name that tells one of {', '.join(target.sequence_names)}",
            remedy=f"say what it shows, for example {target.sequence_names[0]}",
        )
    return with_sequences(read_one_file(path, target, study_id), sequences, target)


def with_sequences(files: StudyFiles, sequences: Sequence[str], target: Target) -> StudyFiles:
    """The study with some of its sequences alone; with all of them if none is named.

    Raises:
        InputError: the study has none of them.
        UnknownNameError: the target has no such sequence.
    """
    refuse_unknown(sequences, target)
    if not sequences:
        return files
    sources = {name: source for name, source in files.sources.items() if name in sequences}
    if not sources:
        raise InputError(
            f"study {files.id!r} without {' and '.join(sequences)}",
            expected=f"sequences that it has: {', '.join(files.sources)}",
            remedy=f"choose for example {next(iter(files.sources))}",
        )
    return replace(files, sources=sources)


def refuse_unknown(sequences: Sequence[str], target: Target) -> None:
    """Raise UnknownNameError for a sequence that the target does not have."""
    for name in sequences:
        lookup("sequence", name, {known: known for known in target.sequence_names})


def _of_folder(folder: Path, target: Target) -> StudyFiles:
    catalog = find_studies(folder, target)
    if len(catalog.studies) == 1:
        return next(iter(catalog.studies.values()))
    names = ", ".join(list(catalog.studies)[:10])
    reasons = "; ".join(problem.reason for problem in catalog.problems[:3])
    found = f"{len(catalog.studies)} studies{f': {names}' if names else ''}"
    raise InputError(
        f"the folder {readable(folder)} with {found}{f' ({reasons})' if reasons else ''}",
        expected="the folder of one study",
        remedy="look at it with `zeus studies`, and open the folder of one study",
    )
