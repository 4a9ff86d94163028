"""The task behind POST /infer/draft: a study's draft, so that 3D Slicer can go on with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from zeus_app.errors import InputError
from zeus_app.labels.drafts import DRAFT
from zeus_app.labels.files import read_label
from zeus_app.reporting.answer import names_in
from zeus_app.server.context import ServerContext
from zeus_app.server.tasks.answer import read_format, write_answer
from zeus_app.server.tasks.inference import resolved_image
from zeus_app.server.tasks.parameters import INFERENCE


class DraftInfer(InferTask):
    """Answers with the draft that somebody saved, and runs no network.

    3D Slicer cannot ask for a label by its tag. It lists this task under Auto Segmentation as soon
    as there is a draft.
    """

    def __init__(self, context: ServerContext) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=context.target.label_values,
            dimension=3,
            description="Go on with your draft of this study.\nTo save one: add an empty segment"
            " called draft, then Submit Label.\nIt is not learned from until you submit it without"
            " that segment.",
        )
        self._ctx, self.parameters = context, INFERENCE

    def is_valid(self) -> bool:
        """Whether there is a draft; clients list valid tasks alone."""
        return bool(self._ctx.datastore.get_labeled_images(DRAFT))

    def is_idempotent(self, request: Mapping[str, Any]) -> bool:
        """Never true: a draft may be replaced at any time."""
        return False

    def check(self, request: Mapping[str, Any]) -> None:
        """Refuse a bad parameter before any work. Raises InputError."""
        read_format(request)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The draft on the grid of the requested image.

        Returns:
            Path of a new file with the label map, and the parameters of the answer.

        Raises:
            InputError: the study has no draft.
        """
        resolved, store = resolved_image(request), self._ctx.datastore
        version = None if resolved.is_temporary else store.history.newest(resolved.study, DRAFT)
        if version is None:
            raise InputError(
                f"study {resolved.study!r} has no draft",
                expected="a study with a draft",
                remedy="in Slicer, add an empty segment called draft and press Submit Label; or"
                f" send PUT /datastore/label?image={resolved.study}&tag={DRAFT}",
            )
        values = self._ctx.target.label_values
        label = read_label(Path(store.get_label_uri(resolved.image_id, DRAFT)))
        path = write_answer(label, values, read_format(request))
        return str(path), {
            "label_names": names_in(label.array, values),
            "study": resolved.study,
            "draft": version.number,
            "saved": version.info["ts"],
        }
