"""Labelled studies of a datastore, as trainings take them."""

import logging
from collections.abc import Hashable
from dataclasses import replace
from functools import partial

from zeus_app.errors import InputError
from zeus_app.instructions.own_texts import INSTRUCTIONS
from zeus_app.labels.labelled import with_final_label
from zeus_app.labels.versions import FINAL
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.studies.versions import version_of
from zeus_app.targets import Target
from zeus_app.types import LabelledStudy

logger = logging.getLogger(__name__)


def labelled_study(study: str, datastore: StudyDatastore, target: Target) -> LabelledStudy:
    """A study with its final label and the user's instructions that belong to the target."""
    resolved = datastore.catalogue.resolve(study)
    labelled = with_final_label(resolved.files, datastore.history, target)
    # The catalogue takes a sequence whose header cannot be read off the list.
    return replace(labelled, id=study, read_grid=partial(datastore.catalogue.grid, resolved))


def labelled_studies(datastore: StudyDatastore, target: Target) -> list[LabelledStudy]:
    """All studies with a final label that can be opened; the log names the others."""
    found: list[LabelledStudy] = []
    for study in datastore.get_labeled_images():
        try:
            found.append(labelled_study(study, datastore, target))
        except InputError as error:  # a PACS is away, or no longer has the study
            logger.warning("Zeus: study %s is not learnt from: %s", study, error)
    return found


class LabelledStudies:
    """All labelled studies; a study whose files and label are unchanged stays the same object.

    Args:
        datastore: the studies and their labels.
        target: the sequences and labels.
    """

    def __init__(self, datastore: StudyDatastore, target: Target) -> None:
        self._datastore, self._target = datastore, target
        self._known: dict[str, tuple[Hashable, LabelledStudy]] = {}

    def __call__(self) -> list[LabelledStudy]:
        """List the studies that have a final label now."""
        known, self._known = self._known, {}
        for study in self._datastore.get_labeled_images():
            try:
                version = self._version(study)
            except (OSError, InputError) as error:
                logger.warning("Zeus: study %s is not learnt from: %s", study, error)
                continue
            before = known.get(study)
            if before and before[0] == version:
                self._known[study] = before
            else:
                labelled = labelled_study(study, self._datastore, self._target)
                self._known[study] = version, labelled
        return [labelled for _, labelled in self._known.values()]

    def _version(self, study: str) -> Hashable:
        """Identifies image files, label and instructions of a study in their present state."""
        files = self._datastore.catalogue.resolve(study).files
        label = self._datastore.history.newest(study, FINAL)
        texts = self._datastore.get_label_info(study, FINAL).get(INSTRUCTIONS)
        return repr((
            {name: version_of(source) for name, source in files.sources.items()},
            label.path if label else None,
            texts,
        ))  # fmt: skip
