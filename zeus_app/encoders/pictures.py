"""The pictures that every tower takes."""

from zeus_app.errors import InputError
from zeus_app.types import PICTURE_PX, FloatArray


def check_pictures(pictures: FloatArray, *, name: str) -> None:
    """Refuse what is not (N, 256, 256).

    Args:
        pictures: what came.
        name: what the tower is called in the message.

    Raises:
        InputError: pictures of another shape.
    """
    if pictures.ndim != 3 or pictures.shape[1:] != (PICTURE_PX, PICTURE_PX):
        raise InputError(
            f"pictures of shape {pictures.shape}",
            expected=f"(N, {PICTURE_PX}, {PICTURE_PX}), the only size {name} takes",
            remedy="resize them before they are encoded",
        )
