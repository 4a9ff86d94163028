"""The shape of pictures that every tower takes."""

from zeus_app.errors import InputError
from zeus_app.types import PICTURE_PX, FloatArray


def check_pictures(pictures: FloatArray, *, name: str) -> None:
    """Refuse pictures that are not (N, 256, 256).

    Args:
        pictures: any array.
        name: the tower's name for the message.

    Raises:
        InputError: pictures of another shape.
    """
    if pictures.ndim != 3 or pictures.shape[1:] != (PICTURE_PX, PICTURE_PX):
        raise InputError(
            f"pictures of shape {pictures.shape}",
            expected=f"(N, {PICTURE_PX}, {PICTURE_PX}), the only size {name} takes",
            remedy="resize them first, for example with zeus_app.studies.slices.slice_stack",
        )
