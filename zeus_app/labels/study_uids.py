"""Labels of a DICOM study are found by its Study Instance UID, whatever the study is called.

In a folder a study has the folder's name, in a PACS its UID. A label's info holds the UID. So the
labels that were drawn in one place are those of the same study in the other.
"""

from collections.abc import Mapping
from typing import Final

from zeus_app.labels.versions import LabelHistory
from zeus_app.types import StudyFiles

STUDY_UID: Final = "study_uid"
"""Entry of a label's info: the Study Instance UID of the study that it was drawn on."""


def other_names(history: LabelHistory, studies: Mapping[str, StudyFiles]) -> dict[str, str]:
    """Study id -> the name under which its labels are stored, where that is another name.

    A study that has labels under its own id keeps to them.

    Args:
        history: the labels.
        studies: the studies of now, by id.
    """
    stored = {name for tag in history.tags() for name in history.stored_names(tag)}
    orphaned = sorted(stored - studies.keys())
    if not orphaned:
        return {}
    of_uid = {files.study_uid: study for study, files in studies.items() if files.study_uid}
    found = {of_uid.get(_uid_of(history, name), ""): name for name in orphaned}
    return {study: name for study, name in found.items() if study and study not in stored}


def _uid_of(history: LabelHistory, name: str) -> str:
    """The Study Instance UID of stored labels: in the newest info that has one, else the name."""
    for tag in history.tags():
        for version in reversed(history.stored_versions(name, tag)):
            if uid := str(version.info.get(STUDY_UID) or ""):
                return uid
    return name
