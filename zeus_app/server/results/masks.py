"""The mask that a result is made of: a label's version or a prediction, and who made it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zeus_app.dicom.segmentation.writing import Authorship
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.instructions.own_texts import INSTRUCTIONS, read_stored_texts
from zeus_app.labels.drafts import DRAFT
from zeus_app.labels.files import read_label
from zeus_app.labels.predictions import Prediction
from zeus_app.labels.versions import FINAL, ORIGINAL, LabelVersion
from zeus_app.server.interactive.click_history import ClickHistory
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.targets import Target
from zeus_app.types import Instruction

_USER = "user"
_OTHER_PROGRAM = "another program"


@dataclass(frozen=True)
class MaskVersion:
    """A mask on disk, and what is known of it.

    Attributes:
        tag: the label's tag; "original" for a prediction.
        version: number of the label's version, or the prediction's checkpoint.
        path: its NIfTI file.
        before: the NIfTI file of the version before; None for the first one.
        authorship: who made it.
        basis: how this is known, for users.
        drawn_on: name of the image on whose grid it lies; empty if it is not known.
        sequences: names of the sequences that it was made from; empty if they are not known.
        images: sequence -> another image that the prediction used; see `choose_images`.
        instructions: the texts that belong to it, the machine's and the user's.
    """

    tag: str
    version: str
    path: Path
    before: Path | None
    authorship: Authorship
    basis: str
    drawn_on: str = ""
    sequences: tuple[str, ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    instructions: tuple[Instruction, ...] = ()

    def identity(self, **chosen: object) -> str:
        """A hash of the mask's voxels, version and texts.

        The same model, run again, gives the same hash. Clicks after a label change nothing in it.

        Args:
            chosen: what else decides the result.
        """
        label = read_label(self.path)
        parts = [self.tag, self.version, str(self.instructions), sorted(chosen.items()),
                 label.array.shape, label.affine_ras.tolist()]  # fmt: skip
        content = hashlib.sha256(json.dumps(parts, default=str).encode())
        content.update(np.ascontiguousarray(label.array, np.uint8).tobytes())
        return content.hexdigest()


class Masks:
    """Finds the masks of studies.

    Args:
        datastore: labels and predictions.
        clicks: the prompts of users.
        target: the labels and sequences.
    """

    def __init__(self, datastore: StudyDatastore, clicks: ClickHistory, target: Target) -> None:
        self._store, self._clicks, self._target = datastore, clicks, target

    def newest(self, study: str, tag: str = "") -> MaskVersion:
        """The newest mask of a tag: without one, the final label, or else the prediction.

        Raises:
            UnknownNameError: there is none.
            InputError: the tag is that of drafts.
        """
        if tag == DRAFT:
            raise InputError(
                f"a result of the draft of study {study!r}",
                expected="a final label or a prediction; others would learn from the result",
                remedy="submit the label without the segment 'draft', then send the tag final",
            )
        label = self._store.history.newest(study, tag or FINAL)
        if label:
            return self._of_label(study, tag or FINAL, label)
        prediction = self._store.predictions.newest(study) if tag in ("", ORIGINAL) else None
        if prediction is None:
            raise UnknownNameError(
                f"study {study!r} has no mask tagged {tag or FINAL!r}",
                expected="a study with a final label, or with a prediction (tag original)",
                remedy=f"segment it with POST /infer/zeus?image={study}, or submit a label with PUT"
                f" /datastore/label?image={study}",
            )
        return self._of_prediction(study, prediction)

    def _of_prediction(self, study: str, prediction: Prediction) -> MaskVersion:
        others = [p.path for p in self._store.predictions.of_study(study)]
        older = [path for path in others if path != prediction.path]
        params = prediction.params
        return MaskVersion(
            tag=ORIGINAL,
            version=prediction.checkpoint,
            path=prediction.path,
            before=older[0] if older else None,
            authorship=Authorship("AUTOMATIC", algorithm_version=prediction.checkpoint),
            basis=f"checkpoint {prediction.checkpoint} made it",
            sequences=tuple(params.get("used", ())),
            images=tuple(dict(params.get("use_images", {})).items()),
            instructions=_instructions_of(prediction),
        )

    def _of_label(self, study: str, tag: str, label: LabelVersion) -> MaskVersion:
        history = self._store.history.versions(study, tag)
        older = [v.path for v in history if v.number < label.number and not v.removed]
        began_with = self._prediction_before(study, label)
        authorship, basis = self._authorship(study, label, began_with)
        used = began_with.params.get("used", ()) if began_with else ()
        return MaskVersion(
            tag=tag,
            version=str(label.number),
            path=label.path,
            before=older[-1] if older else None,
            authorship=authorship,
            basis=basis,
            drawn_on=str(label.info.get("sequence", "")),
            sequences=tuple(used),
            instructions=self._instructions(label, began_with),
        )

    def _prediction_before(self, study: str, label: LabelVersion) -> Prediction | None:
        """The newest prediction that existed when the label was submitted."""
        submitted = float(label.info["ts"]) + 1  # `ts` is in whole seconds
        predictions = self._store.predictions.of_study(study)
        return next((p for p in predictions if float(p.params["answered"]) <= submitted), None)

    def _authorship(
        self, study: str, label: LabelVersion, began_with: Prediction | None
    ) -> tuple[Authorship, str]:
        """Who made a label, as far as it is known, and how it is known."""
        info, creator = label.info, author_of(label.info)
        params = info.get("params") if info.get("model") else None
        checkpoint = params.get("checkpoint") if isinstance(params, Mapping) else None
        if info.get("made_by") in ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"):
            made = Authorship(info["made_by"], "unknown", creator, _OTHER_PROGRAM)
            return made, "the imported file says so"
        if info.get("imported_from"):
            basis = "it was imported; how it was made is not known"
            return Authorship("MANUAL", creator=creator), basis
        if checkpoint:
            made = Authorship("AUTOMATIC", algorithm_version=str(checkpoint), creator=creator)
            return made, f"checkpoint {checkpoint} made it, and it was saved as it was"
        if began_with:
            version = began_with.checkpoint
            made = Authorship("SEMIAUTOMATIC", algorithm_version=version, creator=creator)
            return made, f"a prediction of checkpoint {version} was there when it was submitted"
        if info.get("model") or self._clicks.has_steps(study):
            return Authorship("SEMIAUTOMATIC", creator=creator), "the study has clicks of a user"
        return Authorship("MANUAL", creator=creator), "no prediction was there, and no clicks"

    def _instructions(
        self, label: LabelVersion, began_with: Prediction | None
    ) -> tuple[Instruction, ...]:
        """The machine's texts of the prediction that a label began with, and the user's own."""
        texts = read_stored_texts(label.info.get(INSTRUCTIONS) or {}, self._target)
        own = tuple(
            Instruction(sequence, name, None, text, _USER)
            for (sequence, name), text in texts.items()
        )
        predicted = _instructions_of(began_with) if began_with else ()
        return (*(text for text in predicted if text.model != _USER), *own)


def author_of(info: Mapping[str, Any]) -> str:
    """The name of the person who made a label; empty if it is not known."""
    return str(info.get("author") or info.get(_USER) or "")


def _instructions_of(prediction: Prediction) -> tuple[Instruction, ...]:
    return tuple(
        Instruction(text["sequence"], text["label"], text["slice"], text["text"], text["model"])
        for text in prediction.params.get(INSTRUCTIONS, ())
    )
