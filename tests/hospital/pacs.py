"""What tests store in a PACS, find in it and remove from it."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from zeus_app.commands.hospital.orthanc import Orthanc


def store(pacs: Orthanc, instance: Dataset, folder: Path) -> None:
    """Store an instance; `folder` gets its file."""
    instance.save_as(folder / "instance.dcm", write_like_original=False)
    pacs.upload([folder / "instance.dcm"])


def segmentations(pacs: Orthanc, study_uid: str) -> list[Dataset]:
    """The SEGs of a study, with their voxels."""
    found = _find(pacs, "Series", StudyInstanceUID=study_uid, Modality="SEG")
    instances = [name for series in found for name in pacs.get(f"/series/{series}")["Instances"]]
    files = [pacs.request("GET", f"/instances/{name}/file").content for name in instances]
    return [pydicom.dcmread(BytesIO(file)) for file in files]


def delete_study(pacs: Orthanc, study_uid: str) -> None:
    """Remove a study from the PACS."""
    for study in _find(pacs, "Study", StudyInstanceUID=study_uid):
        pacs.request("DELETE", f"/studies/{study}")


def _find(pacs: Orthanc, level: str, **tags: str) -> list[str]:
    """Orthanc's names of what has the tags."""
    answer: Any = pacs.request("POST", "/tools/find", json={"Level": level, "Query": tags})
    return [str(name) for name in answer.json()]
