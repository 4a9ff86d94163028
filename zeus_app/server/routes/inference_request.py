"""A request for an inference whose parameters are read: its files, its image, and its run."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import UploadFile

from zeus_app.errors import InputError
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.saved_upload import saved_upload
from zeus_app.server.routes.sessions import known_session
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.tasks.chosen_sequences import refuse_lacking
from zeus_app.server.tasks.dicom_answer import refuse_other_files
from zeus_app.server.tasks.inference import LABEL_FILE
from zeus_app.settings.registry import lookup

ANSWERED_IMAGE, ANSWERED_USER = "zeus_answered_image", "zeus_answered_user"
"""Keys of a result: the ResolvedImage that was asked about, and the user who is logged in."""


@dataclass(frozen=True)
class OpenedRequest:
    """An image that is found, and the label file that came with the request, saved on disk."""

    image: ResolvedImage
    label: Path | None


@dataclass(frozen=True)
class InferenceRequest:
    """One request.

    Attributes:
        app: the running app.
        model: name of the task.
        image: the image id; empty for a file or a session.
        params: the task's parameters, read.
        file: an image that came with the request.
        label: a label file that came with the request.
        is_for_dicom: whether the answer is to be a DICOM SEG, which needs a DICOM series.
        sequences: names of the sequences that the request names.
        key: equal for equal requests that may share one run; empty for a request on its own.
    """

    app: GuardedApp
    model: str
    image: str
    params: Mapping[str, Any]
    file: UploadFile | None = None
    label: UploadFile | None = None
    is_for_dicom: bool = False
    sequences: tuple[str, ...] = ()
    key: str = ""

    def check(self) -> None:
        """Refuse bad parameters before any work. Raises InputError."""
        lookup("model", self.model, self.app.tasks("model")).check(self.params)

    @contextmanager
    def opened(self) -> Iterator[OpenedRequest]:
        """Save the files of the request, and find its image. A path of the client is never opened.

        If several are sent, the file is used before the session, and the session before the id.

        Raises:
            InputError: nothing was sent, the study cannot be used, or it lacks a sequence that the
                request names.
            UnknownNameError: no such session, study or sequence.
        """
        session = str(self.params.get("session_id") or "")
        resolved = _resolved(self.app, self.image, session, self.file)
        with resolved as image, _saved(self.label) as label:
            refuse_lacking(self.sequences, image.files)
            if self.is_for_dicom:
                self._refuse_no_dicom(image)
            yield OpenedRequest(image, label)

    def run(self, opened: OpenedRequest | None = None) -> dict[str, Any]:
        """Run the task; see `GuardedApp.infer_image`.

        Args:
            opened: from `opened`; None to open the request now.
        """
        with self.opened() if opened is None else nullcontext(opened) as found:
            address = {"model": self.model, "image": found.image.image_id, LABEL_FILE: found.label}
            result = self.app.infer_image({**self.params, **address}, found.image)
            author = {ANSWERED_USER: str(self.params.get("user") or "")}
            return {**result, **author, ANSWERED_IMAGE: found.image}

    def _refuse_no_dicom(self, image: ResolvedImage) -> None:
        """Refuse what a SEG cannot refer to. The files of a request end with the request."""
        refuse_other_files(image)
        if self.file is not None:
            raise InputError(
                "output=dicom_seg for a file that came with the request",
                expected="a DICOM study of the server, or a session",
                remedy="send the DICOM files with PUT /session/, and its session_id to this route",
            )


@contextmanager
def _resolved(
    app: GuardedApp, image: str, session_id: str, file: UploadFile | None
) -> Iterator[ResolvedImage]:
    """Find the image of a request, and save its file for as long as the request reads it."""
    catalogue = app.context.datastore.catalogue
    if file is not None:
        with saved_upload(file, default_name="image.nii.gz") as path:
            yield catalogue.temporary_study(path)
    elif session_id:
        session = known_session(app, session_id, update_ts=True)
        yield catalogue.temporary_study(Path(session.image))
    elif image:
        yield catalogue.resolve(image)
    else:
        raise InputError(
            "an inference without an image",
            expected="image, session_id or a file",
            remedy="send for example ?image=patient_012; GET /zeus/studies lists the ids",
        )


def _saved(label: UploadFile | None) -> AbstractContextManager[Path | None]:
    """The label file of a request as a temporary file; None if it has none."""
    return saved_upload(label, default_name="label.nii.gz") if label else nullcontext()
