"""How long a click may encode slices, and what happens to the slices that are left."""

import math

from zeus_app.prompts.propagation import PropagationLimits
from zeus_app.prompts.segmenter import ClickMasks
from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_request import ClickRequest
from zeus_app.server.studies.resolved_image import ResolvedImage


def limits_of(
    request: ClickRequest,
    slice_index: int | None,
    *,
    dimension: int,
    encode_s: float,
    spent_s: float,
) -> PropagationLimits:
    """The slices, sequences and time of one answer.

    Args:
        request: the request.
        slice_index: the slice of the newest click, on the canonical grid; None if there is none.
        dimension: 2 or 3.
        encode_s: the setting `click_seconds`; 0 for no limit.
        spent_s: seconds of it that are over already.
    """
    has_limit = dimension == 3 and encode_s > 0
    return PropagationLimits(
        max_slices=request.max_slices if dimension == 3 else 0,
        only_slice=slice_index if dimension == 2 else None,
        sequences=request.sequences,
        first_slice=slice_index or 0,
        encode_s=max(0.0, encode_s - spent_s) if has_limit else math.inf,
    )


def encode_rest(
    ctx: ServerContext,
    resolved: ResolvedImage,
    masks: ClickMasks,
    slice_index: int | None,
    *,
    session: str,
) -> None:
    """Encode the other slices in the background, from the clicked slice outwards.

    Args:
        ctx: of the server.
        resolved: the clicked image.
        masks: the answer. Slices that it lacks are encoded even if the study was encoded lately.
        slice_index: the clicked slice, on the canonical grid. None if there is none: then the
            slices around the masks come first if the answer lacks any.
        session: id of the MONAI Label session whose image was clicked, or "".
    """
    if slice_index is None and not masks.is_complete:
        slice_index = next((first for first, _ in masks.reached.values()), 0)
    if slice_index is not None:
        slices = masks.label_map.shape[2]
        again = not masks.is_complete
        ctx.encode_around(resolved, slice_index, slices, session=session, again=again)
