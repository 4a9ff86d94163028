"""The datastore of MONAI Label, over studies instead of files.

Bad ids and bad labels raise InputError, which routes turn into a 4xx.
"""

import io
import json
import time
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.labels.files import read_label, write_volume
from zeus_app.labels.grids import check_label, in_order_of
from zeus_app.labels.predictions import Predictions
from zeus_app.labels.segments import LABEL_INFO, in_values_of
from zeus_app.labels.versions import (
    FINAL,
    ORIGINAL,
    LabelHistory,
    LabelVersion,
    folder_name,
)
from zeus_app.server.studies.catalogue import Catalogue, ResolvedImage
from zeus_app.server.tasks.answer import INSTRUCTIONS, read_texts
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.storage.state import StateFolder
from zeus_app.studies.align import to_grid
from zeus_app.targets import Target
from zeus_app.types import Grid, StudyProblem, Volume

Info = dict[str, Any]


class StudyDatastore(Datastore):
    """Studies as images; a label's id is its study's.

    Attributes:
        catalogue: the studies.
        history: the submitted labels, every version.
        originals: Zeus's own answers.
    """

    def __init__(self, folder: Path, target: Target, state: StateFolder) -> None:
        self._target = target
        self._state = state
        self._name = target.name
        self._description = f"Studies of {target.instance} in {folder}"
        self.catalogue = Catalogue(folder, target, state)
        self.history = LabelHistory(state.labels)
        self.originals = Predictions(state.originals)
        self.refresh()

    # What the datastore is called, and how it stands.

    def name(self) -> str:
        """The target's name unless a client gave another."""
        return self._name

    def set_name(self, name: str) -> None:
        """Rename until the server stops."""
        self._name = name

    def description(self) -> str:
        """One line for clients."""
        return self._description

    def set_description(self, description: str) -> None:
        """Describe until the server stops."""
        self._description = description

    def status(self) -> Info:
        """Studies, those with a final label, and labels by tag."""
        images = self.list_images()
        tags = {tag: len(self.get_labeled_images(tag)) for tag in self._tags()}
        counted = {tag: count for tag, count in tags.items() if count}
        return {
            "total": len(images),
            "completed": len(self.get_labeled_images()),
            "label_tags": counted,
            "problems": len(self.problems),
        }

    def json(self) -> Info:
        """All studies with their labels, in the shape of MONAI Label's own datastore."""
        objects = {}
        for image in self.list_images():
            labels = self.get_labels_by_image_id(image)
            objects[image] = {
                "image": {"ext": ".nii.gz", "info": self._noted(image)},
                "labels": {
                    tag: {"ext": ".nii.gz", "info": self.get_label_info(image, tag)}
                    for tag in labels
                },
            }
        return {"name": self._name, "description": self._description, "objects": objects}

    def datalist(self) -> list[Info]:
        """Reference volume and final label of every labelled study, on one grid."""
        return [
            {"image": self.get_image_uri(image), "label": self.get_label_uri(image, FINAL)}
            for image in self.get_labeled_images()
        ]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """A ZIP of reference volumes and final labels, replaced at every call."""
        cases = self.datalist()[:limit_cases]
        if not cases:
            raise InputError(
                "a download of no labels", expected="a labelled study", remedy="submit one first"
            )
        path = self._state.volumes / "dataset.zip"

        def write(temporary: Path) -> None:
            with zipfile.ZipFile(temporary, "w") as archive:
                for image, case in zip(self.get_labeled_images(), cases, strict=False):
                    for kind, path in case.items():
                        ending = ".nii.gz" if path.endswith(".gz") else ".nii"
                        archive.write(path, f"{kind}/{folder_name(image)}{ending}")
                archive.writestr("metadata.json", json.dumps(self.json(), default=str))

        write_atomically(path, write)
        return str(path)

    def refresh(self) -> None:
        """Look for studies again."""
        self.catalogue.refresh()

    @property
    def problems(self) -> tuple[StudyProblem, ...]:
        """What was found and cannot be used, and labels that no study goes by any more."""
        return (*self.catalogue.problems, *self.orphaned_labels)

    @property
    def orphaned_labels(self) -> tuple[StudyProblem, ...]:
        """Labels of studies that are gone or are called otherwise by now; they are not learnt."""
        known = {*self.catalogue.studies, *(one.id for one in self.catalogue.problems)}
        return tuple(
            StudyProblem(
                study,
                (self.history.home(study, tag),),
                f"labels of no study ({tag}): none here is called {study}. Give the study its old "
                "name back, or rename this folder to the name it has now",
            )
            for tag in self.history.tags()
            for study in sorted(self.history.studies(tag) - known)
            if self.history.newest(study, tag)
        )

    # Images.

    def list_images(self) -> list[str]:
        """Study ids; sequences are reached as study/sequence and not listed."""
        return sorted(self.catalogue.studies)

    def get_labeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Studies with a label of this tag (final unless told)."""
        return [one for one in self.list_images() if self._label(one, label_tag or FINAL)]

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Studies without a label of this tag (final unless told)."""
        return [one for one in self.list_images() if not self._label(one, label_tag or FINAL)]

    def get_image(self, image_id: str, params: object = None) -> io.BytesIO:
        """The bytes of the NIfTI file behind an id."""
        return io.BytesIO(Path(self.get_image_uri(image_id)).read_bytes())

    def get_image_uri(self, image_id: str) -> str:
        """The NIfTI file behind an id: a study's reference volume, or the sequence named."""
        return str(self.catalogue.volume_file(self.catalogue.resolve(image_id)))

    def get_image_info(self, image_id: str) -> Info:
        """What clients need to load it, and what was noted about it."""
        resolved = self.catalogue.resolve(image_id)
        path = self.catalogue.volume_file(resolved)
        name = resolved.study if resolved.whole else resolved.sequence
        ending = ".nii.gz" if path.name.endswith(".gz") else ".nii"
        return {
            "ts": int(path.stat().st_mtime),
            "name": f"{folder_name(name)}{ending}",
            "path": str(path),
            "sequences": list(resolved.files.sources),
            "reference": resolved.sequence,
            **self._noted(resolved.study),
        }

    def update_image_info(self, image_id: str, info: Info) -> None:
        """Add to what was noted about a study."""
        study = self.catalogue.resolve(image_id).study
        text = json.dumps({**self._noted(study), **info}, indent=1, default=str)
        write_text_atomically(self._note(study), text)

    def add_image(self, image_id: str | None, image_filename: str, image_info: Info) -> str:
        """Keep an upload as a study of one sequence."""
        file = Path(image_filename)
        study = self.catalogue.add(image_id or file.name, file)
        self.update_image_info(study, {**image_info, "uploaded": int(time.time())})
        return study

    def remove_image(self, image_id: str) -> None:
        """Take an upload, its labels and Zeus's answers out of the lists; the files are kept."""
        study = self.catalogue.remove(image_id)
        for folder in self._state.learnt.parent.glob(f"*/{self._state.originals.name}"):
            Predictions(folder).remove(study)  # whichever model answered
        for tag in self.history.tags():
            if self.history.newest(study, tag):
                self.history.remove(study, tag)

    def _note(self, study: str) -> Path:
        return self._state.info / f"{folder_name(study)}.json"

    def _noted(self, study: str) -> Info:
        note = self._note(study)
        noted: Info = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
        return noted

    # Labels.

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: Info | None
    ) -> str:
        """Check a label against the image it was drawn on, and add it as a version.

        Raises:
            InputError: another grid than the image's, or unknown classes or segments.
        """
        resolved = self.catalogue.resolve(image_id)
        return self.add_label(resolved, Path(label_filename), label_tag, label_info or {})

    def add_label(self, resolved: ResolvedImage, file: Path, label_tag: str, info: Info) -> str:
        """Save a label of an image that is resolved already; otherwise as `save_label`."""
        label = in_values_of(self._target, read_label(file), file, info.get(LABEL_INFO))
        label = self._checked(label, self.catalogue.grid(resolved))
        info = {**info, "name": f"{resolved.study}.nii.gz", "sequence": resolved.sequence}
        info[INSTRUCTIONS] = self._own_texts(resolved.study, info)
        self.history.save(resolved.study, label_tag, label, info)
        return resolved.study

    def _own_texts(self, study: str, info: Info) -> dict[str, str]:
        """The user's own texts behind a label: sent with it, else those of the answer corrected."""
        told = info.get(INSTRUCTIONS)
        if told is not None:
            texts = read_texts(told, self._target)
            return {f"{sequence}/{label}": text for (sequence, label), text in texts.items()}
        answer = self.originals.find(study)
        return {
            f"{one['sequence']}/{one['label']}": one["text"]
            for one in (answer.params.get(INSTRUCTIONS, ()) if answer else ())
            if one["model"] == "user"
        }

    def _checked(self, label: Volume, grid: Grid) -> Volume:
        values = tuple(self._target.label_values.values())
        label = in_order_of(label, grid)
        check_label(label, grid, values)
        return Volume(label.array.astype(np.uint8), grid.affine_ras)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """End a label; its versions can be restored."""
        self.history.remove(self.catalogue.resolve(label_id).study, label_tag)

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Tag -> label id of a study."""
        study = self.catalogue.resolve(image_id).study
        return {tag: study for tag in self._tags() if self._label(study, tag)}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """The label id of a study under a tag; empty when there is none."""
        return self.get_labels_by_image_id(image_id).get(tag, "")

    def get_label(self, label_id: str, label_tag: str, params: object = None) -> io.BytesIO:
        """The bytes of a label's NIfTI file."""
        return io.BytesIO(Path(self.get_label_uri(label_id, label_tag)).read_bytes())

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """The version that counts, on the grid of the image that the id names."""
        resolved = self.catalogue.resolve(label_id)
        path, grid = self._existing(label_id, label_tag).path, self.catalogue.grid(resolved)
        label = read_label(path)
        if label.grid.matches(grid):
            return str(path)
        drawn = Volume(label.array.astype(np.uint8), label.affine_ras)
        name = "_".join(map(folder_name, (resolved.study, resolved.sequence, label_tag)))
        copy = self._state.volumes / "labels" / f"{name}.nii.gz"
        moved = to_grid(drawn, grid, order=0, fill=0)
        write_atomically(copy, partial(write_volume, volume=moved))
        return str(copy)

    def get_label_info(self, label_id: str, label_tag: str) -> Info:
        """What is known of the version that counts."""
        return dict(self._existing(label_id, label_tag).info)

    def update_label_info(self, label_id: str, label_tag: str, info: Info) -> None:
        """Add to what is known of a submitted label."""
        self.history.note(self.catalogue.resolve(label_id).study, label_tag, info)

    def final_label(self, study: str) -> Volume:
        """The label to learn from, uint8, on the grid it was drawn on."""
        label = read_label(self._existing(study, FINAL).path)
        return Volume(label.array.astype(np.uint8), label.affine_ras)

    def _tags(self) -> list[str]:
        return sorted({FINAL, ORIGINAL, *self.history.tags()})

    def _label(self, study: str, tag: str) -> LabelVersion | None:
        """The label that counts; under "original" Zeus's own when nobody submitted one."""
        submitted = self.history.newest(study, tag)
        if submitted or tag != ORIGINAL:
            return submitted
        own = self.originals.find(study)
        info: Mapping[str, Any] = {"params": own.params} if own else {}
        return LabelVersion(0, own.path, info) if own else None

    def _existing(self, label_id: str, tag: str) -> LabelVersion:
        study = self.catalogue.resolve(label_id).study
        version = self._label(study, tag)
        if version is None:
            raise UnknownNameError(
                f"study {study!r} has no label tagged {tag!r}",
                expected=", ".join(self.get_labels_by_image_id(study)) or "a labelled study",
                remedy="submit one with PUT /datastore/label",
            )
        return version
