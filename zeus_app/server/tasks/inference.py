"""Running an inference task the way MONAI Label's app does, but by image id."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from zeus_app.errors import BusyError, InputError
from zeus_app.labels.versions import ORIGINAL
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.settings.registry import lookup

Task = Callable[[Mapping[str, Any]], tuple[str, dict[str, Any]]]
Infer = Callable[[Mapping[str, Any], object], dict[str, Any]]
_TRY_AGAIN_S = 5  # at most; a batch is in no hurry and comes after whoever waits
logger = logging.getLogger(__name__)


def run_inference(
    tasks: Mapping[str, Task], request: Mapping[str, Any], datastore: StudyDatastore
) -> dict[str, Any]:
    """Run the task `request["model"]` on the image id `request["image"]`.

    MONAI Label's own would take any path that exists on the server for an image.

    Returns:
        file: the mask, to be deleted by whoever sends it; label, tag, params as stock ones.

    Raises:
        InputError: unknown model or study, or one that cannot be used.
    """
    task = lookup("model", str(request.get("model")), tasks)
    resolved = datastore.catalogue.resolve(str(request.get("image")))
    file, params = task(request)
    tag = str(request.get("label_tag") or ORIGINAL)
    label = file
    # Zeus keeps its own answers as originals by itself; any other tag is the client's wish.
    if request.get("save_label") and tag != ORIGINAL and not resolved.guest:
        info = {"model": request["model"], "params": params}
        label = datastore.save_label(str(request["image"]), file, tag, info)
    return {"label": label, "tag": tag, "file": file, "params": params}


def skip_failed(infer: Infer) -> Infer:
    """An inference for batches.

    A study that cannot be used says why and ends nothing; a full line is waited for.
    """

    def infer_or_say_why(request: Mapping[str, Any], datastore: object) -> dict[str, Any]:
        while True:
            try:
                return infer(request, datastore)
            except InputError as error:
                logger.warning("%s left out of the batch: %s", request.get("image"), error)
                return {"error": str(error)}
            except BusyError as busy:
                time.sleep(min(busy.retry_after_s, _TRY_AGAIN_S))

    return infer_or_say_why
