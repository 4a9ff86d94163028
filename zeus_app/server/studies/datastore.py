"""MONAI Label's datastore, with studies as images.

Bad ids and bad labels raise InputError; the server answers them with a status 4xx.
"""

import io
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.instructions.own_texts import INSTRUCTIONS
from zeus_app.labels.drafts import DRAFT, save_version, tag_of
from zeus_app.labels.files import read_label, write_volume
from zeus_app.labels.orphans import orphaned_labels
from zeus_app.labels.predictions import Predictions
from zeus_app.labels.segments import LABEL_INFO
from zeus_app.labels.study_uids import STUDY_UID, other_names
from zeus_app.labels.submission import read_submitted_label, sequence_drawn_on
from zeus_app.labels.versions import FINAL, ORIGINAL, OWN_KEYS, LabelHistory, LabelVersion
from zeus_app.server.studies.dataset_archive import write_archive
from zeus_app.server.studies.dicom_ids import dicom_info
from zeus_app.server.studies.places import Place, studies_at
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.studies.study_notes import StudyNotes
from zeus_app.server.tasks.chosen_sequences import texts_to_store
from zeus_app.settings.pacs import PACS_MIB
from zeus_app.storage.atomic import write_atomically
from zeus_app.storage.notes import check_note
from zeus_app.storage.state import StateFolder, folder_name
from zeus_app.studies.align import to_grid
from zeus_app.targets import Target
from zeus_app.types import StudyProblem, Volume
from zeus_app.volumes.uploads import MAX_VOXELS

Info = dict[str, Any]


class StudyDatastore(Datastore):
    """MONAI Label's datastore over a folder of studies or a PACS. A label has the id of its study.

    Attributes:
        catalogue: the studies.
        history: the submitted labels, every version.
        predictions: Zeus's own masks. MONAI Label tags them "original".
    """

    def __init__(
        self,
        place: Place,
        target: Target,
        state: StateFolder,
        *,
        max_voxels: int = MAX_VOXELS,
        pacs_mib: int = PACS_MIB,
    ) -> None:
        self._target = target
        self._state = state
        self._name = target.name
        self._description = f"Studies of {target.instance} in {place}"
        self.catalogue, self._search = studies_at(
            place, target, state, max_voxels=max_voxels, pacs_mib=pacs_mib
        )
        self.history = LabelHistory(state.labels)
        self.predictions = Predictions(state.predictions)
        self._notes = StudyNotes(state.info)
        self.refresh()

    # Name, description and state of the datastore.

    def name(self) -> str:
        """The target's name, or the name that a client gave."""
        return self._name

    def set_name(self, name: str) -> None:
        """Rename the datastore until the server stops."""
        self._name = name

    def description(self) -> str:
        """One line for clients."""
        return self._description

    def set_description(self, description: str) -> None:
        """Change the description until the server stops."""
        self._description = description

    def status(self) -> Info:
        """Counts of studies, of studies with a final label, and of labels by tag."""
        counts = {tag: len(self.get_labeled_images(tag)) for tag in self._tags()}
        return {
            "total": len(self.list_images()),
            "completed": len(self.get_labeled_images()),
            "label_tags": {tag: count for tag, count in counts.items() if count},
            "problems": len(self.problems),
        }

    def json(self) -> Info:
        """All studies with their labels, in the format of MONAI Label's own datastore."""
        objects: Info = {}
        for image, files in sorted(self.catalogue.studies.items()):
            info = {**dicom_info(files), **self._notes.stored(image)}
            objects[image] = {"image": {"ext": ".nii.gz", "info": info}, "labels": {}}
        for tag in self._tags():
            for image in self.get_labeled_images(tag):
                label = {"ext": ".nii.gz", "info": self.get_label_info(image, tag)}
                objects[image]["labels"][tag] = label
        return {"name": self._name, "description": self._description, "objects": objects}

    def datalist(self) -> list[Info]:
        """Paths of the reference volume and the final label of each labelled study, on one grid."""
        return [
            {"image": self.get_image_uri(image), "label": self.get_label_uri(image, FINAL)}
            for image in self.get_labeled_images()
        ]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Write a ZIP of reference volumes and final labels; each call replaces it.

        Raises:
            InputError: no study has a final label.
        """
        cases = self.datalist()[:limit_cases]
        if not cases:
            raise InputError(
                "a download of the labelled studies, of which there are none",
                expected="at least one study with a final label",
                remedy="submit a label first, with PUT /datastore/label?image=<study>",
            )
        path = self._state.volumes / "dataset.zip"
        write_archive(path, dict(zip(self.get_labeled_images(), cases, strict=False)), self.json())
        return str(path)

    def refresh(self) -> None:
        """Find the studies again. Those that could not be read are listed again."""
        self._search.search()
        self._find_labels()

    def look(self) -> None:
        """Find the studies again if something has changed in the studies folder; see `StudySearch`.

        It may take some seconds, so no route may call it on the event loop.
        """
        self._search.look()
        self._find_labels()

    def _find_labels(self) -> None:
        """Find labels that were stored under another name of a DICOM study."""
        self.history.other_names = other_names(self.history, self.catalogue.studies)

    @property
    def problems(self) -> tuple[StudyProblem, ...]:
        """Studies that cannot be used, and orphaned labels."""
        return (*self.catalogue.problems, *self.orphaned_labels)

    @property
    def orphaned_labels(self) -> tuple[StudyProblem, ...]:
        """Labels whose study is gone or was renamed. They stay, and are not learnt from."""
        known = {*self.catalogue.studies, *(problem.id for problem in self.catalogue.problems)}
        return orphaned_labels(self.history, known, remedy=self.catalogue.orphan_remedy)

    # Images.

    def list_images(self) -> list[str]:
        """Study ids. An id `study/sequence` is valid too, but not listed."""
        return sorted(self.catalogue.studies)

    def get_labeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Studies with a label of this tag; of the tag "final" by default."""
        return sorted(self._labelled(label_tag or FINAL))

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Studies without a label of this tag; of the tag "final" by default."""
        labelled = self._labelled(label_tag or FINAL)
        return [study for study in self.list_images() if study not in labelled]

    def _labelled(self, tag: str) -> set[str]:
        """Studies with a label of a tag. Only those that have stored labels are looked at."""
        stored = self.history.studies(tag)
        if tag == ORIGINAL:
            stored |= self.history.studies(DRAFT) | self.predictions.studies()
        return {
            study for study in stored & self.catalogue.studies.keys() if self._label(study, tag)
        }

    def get_image(self, image_id: str, params: object = None) -> io.BytesIO:
        """The bytes of an image's NIfTI file."""
        return io.BytesIO(Path(self.get_image_uri(image_id)).read_bytes())

    def get_image_uri(self, image_id: str) -> str:
        """Path of an image's NIfTI file: the study's reference volume, or the named sequence."""
        return str(self.catalogue.volume_file(self.catalogue.resolve(image_id)))

    def get_image_info(self, image_id: str) -> Info:
        """What clients need to load an image; under "info", the notes that they stored.

        A client opens `path` and stores a download as `name`, so no note stands beside them.
        """
        resolved = self.catalogue.usable(self.catalogue.resolve(image_id))
        path = self.catalogue.volume_file(resolved)
        name = resolved.study if resolved.whole else resolved.shown
        ending = ".nii.gz" if path.name.endswith(".gz") else ".nii"
        return {
            "ts": int(path.stat().st_mtime),
            "name": f"{folder_name(name)}{ending}",
            "path": str(path),
            "sequences": list(resolved.files.sources),
            "reference": resolved.shown,
            **dicom_info(resolved.files, resolved.source),
            **self._notes.stored(resolved.study),
        }

    def update_image_info(self, image_id: str, info: Info) -> None:
        """Add to a client's notes on a study. Raises InputError if they are too large."""
        self._notes.add(self.catalogue.study_of(image_id), info)

    def record_sample(self, study: str, strategy: str, client: str | None) -> None:
        """Store when a strategy chose a study, apart from the notes of clients."""
        self._notes.record_sample(study, strategy, client)

    def strategy_history(self, study: str) -> dict[str, Info]:
        """Strategy -> {"ts": seconds since 1970, "client_id"} of its newest choice of a study."""
        return self._notes.strategy_history(study)

    def add_image(self, image_id: str | None, image_filename: str, image_info: Info) -> str:
        """Save an upload as a study of one sequence; returns the study's id."""
        file = Path(image_filename)
        check_note(image_info)
        study = self.catalogue.add(image_id or file.name, file)
        self.update_image_info(study, {**image_info, "uploaded": int(time.time())})
        return study

    def remove_image(self, image_id: str) -> None:
        """Take an upload, its labels and its predictions off the lists; the files stay."""
        study = self.catalogue.remove(image_id)
        for folder in self._state.predictions_of_all_models:
            Predictions(folder).remove(study)  # of every model, not of the served one alone
        for tag in self.history.tags():
            if self.history.newest(study, tag):
                self.history.remove(study, tag)

    # Labels.

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: Info | None
    ) -> str:
        """Check a label against the image that it was drawn on, and add it as a version.

        Returns:
            the label's id, which is its study's.

        Raises:
            InputError: the label's grid is not the image's, or the label has unknown classes or
                segments.
        """
        return self.submit(image_id, Path(label_filename), label_tag, label_info or {})[0]

    def submit(self, image_id: str, file: Path, label_tag: str, info: Info) -> tuple[str, str]:
        """Do the same as `save_label`; returns the study and the tag, which `tag_of` may choose."""
        resolved = self.catalogue.resolve(image_id)
        notes = _without_own_keys(info)
        check_note(notes)
        return resolved.study, self.add_label(resolved, file, label_tag, notes)

    def add_label(self, resolved: ResolvedImage, file: Path, label_tag: str, info: Info) -> str:
        """Add a label for an image that is resolved already; returns its tag."""
        sources = {**resolved.files.sources, resolved.shown: resolved.source}
        drawn_on = sequence_drawn_on(file, sources, named=resolved.shown, is_whole=resolved.whole)
        resolved = resolved.showing(drawn_on)
        label = read_submitted_label(
            file,
            target=self._target,
            grid=self.catalogue.grid(resolved),
            label_info=info.get(LABEL_INFO),
        )
        tag = label_tag or tag_of(file, info.get(LABEL_INFO), target=self._target)
        info = {**info, "name": f"{resolved.study}.nii.gz", "sequence": drawn_on}
        info |= {STUDY_UID: resolved.files.study_uid} if resolved.files.study_uid else {}
        info[INSTRUCTIONS] = self._user_texts(resolved, tag, info)
        save_version(self.history, resolved.study, tag, label=label, info=info, target=self._target)
        return tag

    def _user_texts(self, resolved: ResolvedImage, label_tag: str, info: Info) -> dict[str, str]:
        """The user's own texts: those sent with the label, else those of the newest prediction."""
        if info.get(INSTRUCTIONS) is not None:
            return self._checked_texts(resolved, label_tag, info)
        prediction = self.predictions.newest(resolved.study)
        instructions = prediction.params.get(INSTRUCTIONS, ()) if prediction else ()
        return {
            f"{instruction['sequence']}/{instruction['label']}": instruction["text"]
            for instruction in instructions
            if instruction["model"] == "user"
        }

    def _checked_texts(self, resolved: ResolvedImage, label_tag: str, info: Info) -> dict[str, str]:
        newest = self.history.newest(resolved.study, label_tag)
        stored = newest.info.get(INSTRUCTIONS) if newest else None
        return texts_to_store(info[INSTRUCTIONS], stored, resolved.files, self._target)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label. Its versions stay and can be restored."""
        self.history.remove(self.catalogue.study_of(label_id), label_tag)

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Tag -> label id, for every label of a study."""
        study = self.catalogue.study_of(image_id)
        return {tag: study for tag in self._tags() if self._label(study, tag)}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """The label id of a study for a tag; empty if there is no such label."""
        return self.get_labels_by_image_id(image_id).get(tag, "")

    def get_label(self, label_id: str, label_tag: str, params: object = None) -> io.BytesIO:
        """The bytes of a label's NIfTI file."""
        return io.BytesIO(Path(self.get_label_uri(label_id, label_tag)).read_bytes())

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Path of the newest version, on the grid of the image that the id names."""
        resolved = self.catalogue.resolve(label_id)
        path, grid = self._existing(label_id, label_tag).path, self.catalogue.grid(resolved)
        label = read_label(path)
        if label.grid.matches(grid):
            return str(path)
        stored = Volume(label.array.astype(np.uint8), label.affine_ras)
        name = "_".join(map(folder_name, (resolved.study, resolved.shown, label_tag)))
        copy = self._state.volumes / "labels" / f"{name}.nii.gz"
        resampled = to_grid(stored, grid, order=0, fill=0)
        write_atomically(copy, partial(write_volume, volume=resampled))
        return str(copy)

    def get_label_info(self, label_id: str, label_tag: str) -> Info:
        """The info stored with the newest version of a label."""
        return dict(self._existing(label_id, label_tag).info)

    def update_label_info(self, label_id: str, label_tag: str, info: Info) -> None:
        """Add to a client's notes on a submitted label.

        Raises:
            InputError: the notes are too large, or `instructions` are not as in `read_texts`.
        """
        notes, resolved = _without_own_keys(info), self.catalogue.resolve(label_id)
        if notes.get(INSTRUCTIONS) is not None:
            notes[INSTRUCTIONS] = self._checked_texts(resolved, label_tag, notes)
        self.history.update_info(resolved.study, label_tag, notes)

    def final_label(self, study: str) -> Volume:
        """The final label, uint8, on the grid that it was drawn on."""
        label = read_label(self._existing(study, FINAL).path)
        return Volume(label.array.astype(np.uint8), label.affine_ras)

    def _tags(self) -> list[str]:
        return sorted({FINAL, ORIGINAL, *self.history.tags()})

    def _label(self, study: str, tag: str) -> LabelVersion | None:
        """The newest label of a tag; for "original", the draft or else the prediction.

        "original" is the label that 3D Slicer shows when it opens a study. So it goes on with a
        draft.
        """
        submitted = self.history.newest(study, tag)
        if tag == ORIGINAL and not submitted:
            submitted = self.history.newest(study, DRAFT)
        if submitted or tag != ORIGINAL:
            return submitted
        prediction = self.predictions.newest(study)
        if prediction is None:
            return None
        return LabelVersion(0, prediction.path, {"params": prediction.params})

    def _existing(self, label_id: str, tag: str) -> LabelVersion:
        study = self.catalogue.study_of(label_id)
        version = self._label(study, tag)
        if version is None:
            raise UnknownNameError(
                f"study {study!r} has no label tagged {tag!r}",
                expected=", ".join(self.get_labels_by_image_id(study)) or "a labelled study",
                remedy=f"submit one with PUT /datastore/label?image={study}&tag={tag}",
            )
        return version


def _without_own_keys(info: Info) -> Info:
    """A client's notes on a label, without the entries that Zeus writes itself."""
    return {key: value for key, value in info.items() if key not in OWN_KEYS}
