"""Running an inference task on an image that is resolved already."""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zeus_app.errors import BusyError, InputError
from zeus_app.labels.predictions import Predictions
from zeus_app.labels.versions import ORIGINAL
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.settings.registry import lookup
from zeus_app.types import Segmentation

Task = Callable[[Mapping[str, Any]], tuple[str, dict[str, Any]]]
Infer = Callable[[Mapping[str, Any], object], dict[str, Any]]
RESOLVED_IMAGE = "zeus_resolved_image"
"""Key of the ResolvedImage in a task's request. `run_inference` overwrites what a client sends."""
LABEL_FILE = "zeus_label_file"
"""Key of the Path of the label file that came with a request. No parameter has this name."""
_MAX_RETRY_S = 5  # seconds that a batch waits before it asks a busy server again
logger = logging.getLogger(__name__)


def run_inference(
    tasks: Mapping[str, Task],
    request: Mapping[str, Any],
    resolved: ResolvedImage,
    datastore: StudyDatastore,
) -> dict[str, Any]:
    """Run the task `request["model"]` on an image.

    Stock MONAI Label accepts any path on the server as an image. Here an image is always resolved
    from an id, a session or a file of the request.

    Returns:
        "file": path of the mask, to be deleted after it is sent; "label", "tag" and "params" as in
        stock MONAI Label.

    Raises:
        InputError: the model is unknown, or the study cannot be used.
    """
    task = lookup("model", str(request.get("model")), tasks)
    file, params = task({**request, RESOLVED_IMAGE: resolved})
    tag = str(request.get("label_tag") or ORIGINAL)
    label = file
    # Tasks save their predictions themselves. A label of another tag is saved if the client asks.
    if request.get("save_label") and tag != ORIGINAL and not resolved.is_temporary:
        info = {"model": request["model"], "params": params}
        datastore.add_label(resolved, Path(file), tag, info)
        label = resolved.study
    return {"label": label, "tag": tag, "file": file, "params": params}


def resolved_image(request: Mapping[str, Any]) -> ResolvedImage:
    """The image of a task's request, as `run_inference` put it there."""
    resolved = request[RESOLVED_IMAGE]
    assert isinstance(resolved, ResolvedImage), "tasks are called by run_inference alone"
    return resolved


def save_prediction(
    predictions: Predictions, segmentation: Segmentation, params: Mapping[str, Any]
) -> dict[str, str]:
    """Save a prediction. A full disk does not take the answer from the client.

    Returns:
        Further parameters of the answer: empty, or "not_saved" with the reason.
    """
    try:
        predictions.save(segmentation, params)
    except OSError as error:
        logger.warning("the prediction of %s is not saved: %s", segmentation.study_id, error)
        return {"not_saved": f"the server could not keep this prediction: {error.strerror}"}
    return {}


def skip_failed(infer: Infer) -> Infer:
    """Wrap an inference for batches.

    A study that cannot be used gives {"error": reason} and does not end the batch. While too many
    inferences wait, the batch waits too.
    """

    def infer_or_skip(request: Mapping[str, Any], datastore: object) -> dict[str, Any]:
        while True:
            try:
                return infer(request, datastore)
            except InputError as error:
                logger.warning("batch: %s skipped: %s", request.get("image"), error)
                return {"error": str(error)}
            except BusyError as busy:
                time.sleep(min(busy.retry_after_s, _MAX_RETRY_S))

    return infer_or_skip
