"""The ZIP of labelled studies that a client may download."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeus_app.storage.atomic import write_atomically
from zeus_app.storage.state import folder_name


def write_archive(
    path: Path, cases: Mapping[str, Mapping[str, str]], metadata: Mapping[str, Any]
) -> None:
    """Write a ZIP in place of an older one.

    Args:
        path: the ZIP.
        cases: study -> {"image": path, "label": path}; each file lies in the folder of its kind.
        metadata: goes into metadata.json.
    """

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for study, case in cases.items():
                for kind, file in case.items():
                    ending = ".nii.gz" if file.endswith(".gz") else ".nii"
                    archive.write(file, f"{kind}/{folder_name(study)}{ending}")
            archive.writestr("metadata.json", json.dumps(metadata, default=str))

    write_atomically(path, write)
