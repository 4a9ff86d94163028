"""Studies with final labels, as trainings take them."""

from functools import partial

import numpy as np

from zeus_app.errors import UnknownNameError
from zeus_app.instructions.own_texts import INSTRUCTIONS, read_stored_texts
from zeus_app.labels.files import read_label
from zeus_app.labels.versions import FINAL, LabelHistory, LabelVersion
from zeus_app.studies.read import read_study
from zeus_app.targets import Target
from zeus_app.types import Grid, Guidance, LabelledStudy, StudyFiles, Volume


def with_final_label(files: StudyFiles, history: LabelHistory, target: Target) -> LabelledStudy:
    """A study with its final label, and the user's own texts that are stored with the label.

    Args:
        files: the study. Its files, and the label's, are read when the training asks for them.
        history: the labels of the target.
        target: texts for other sequences or labels are left out.

    Raises:
        UnknownNameError: the study has no final label.
    """
    stored = _final(files.id, history).info.get(INSTRUCTIONS) or {}
    return LabelledStudy(
        id=files.id,
        read_study=partial(read_study, files),
        read_label=partial(_read_final, files.id, history),
        read_grid=partial(_reference_grid, files, target),
        patient=files.patient,
        sequences=tuple(files.sources),
        guidance=Guidance(read_stored_texts(stored, target)),
    )


def _final(study: str, history: LabelHistory) -> LabelVersion:
    version = history.newest(study, FINAL)
    if version is None:
        raise UnknownNameError(
            f"study {study!r} has no final label",
            expected="a study with a label",
            remedy="submit one, or import masks with `zeus import-labels`",
        )
    return version


def _read_final(study: str, history: LabelHistory) -> Volume:
    label = read_label(_final(study, history).path)
    return Volume(label.array.astype(np.uint8), label.affine_ras)


def _reference_grid(files: StudyFiles, target: Target) -> Grid:
    return files.sources[target.reference_of(tuple(files.sources))].grid()
