"""The values of a click request: points, boxes, numbers, flags and names, as JSON has them."""

import math
from collections.abc import Sequence
from typing import TypeGuard

from zeus_app.errors import InputError
from zeus_app.prompts.types import Voxel

_MAX_NUMBER = 1_000_000
_VOXELS = "a list of [i, j, k] voxel indices of the image, for example [[12, 40, 7]]"
_YES, _NO = ("y", "yes", "t", "true", "on", "1"), ("n", "no", "f", "false", "off", "0", "")


def read_points(value: object, name: str) -> tuple[Voxel, ...]:
    """Read clicked voxels, each once, in the order of their newest click; () for None.

    A click at a fraction of a voxel is a click on the voxel that holds it.

    Raises:
        InputError: not a list of three numbers each.
    """
    clicked = [_holding(voxel) for voxel in _voxels(value, name)]
    return once(clicked)


def once(voxels: Sequence[Voxel]) -> tuple[Voxel, ...]:
    """Each voxel once. Its last place counts, because the newest click comes last."""
    return tuple(reversed(dict.fromkeys(reversed(voxels))))


def read_box(value: object) -> tuple[Voxel, Voxel] | None:
    """Read [i0, i1, j0, j1, k0, k1] or two corners [i, j, k], in any order; both are inside.

    3D Slicer sends six numbers. A rectangle of cornerstone, the library of OHIF, has corners.
    """
    if not value:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) not in (2, 6):
        raise InputError(
            f"roi {str(value)[:80]}",
            expected="[i0, i1, j0, j1, k0, k1] or two corners [i, j, k], in voxels of the image",
            remedy="send for example [10, 20, 30, 44, 5, 7] or [[10, 30, 5], [20, 44, 7]]",
        )
    first, second = _voxels(value if len(value) == 2 else [value[0::2], value[1::2]], "roi")
    return first, second


def _voxels(value: object, name: str) -> list[Voxel]:
    if value is None:
        return []
    try:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise TypeError("not a list")
        return [_voxel(one) for one in value]
    except (TypeError, ValueError, OverflowError) as error:  # OverflowError: a huge whole number
        raise InputError(
            f"{name} {str(value)[:80]}",
            expected=_VOXELS,
            remedy="send a list of points with three numbers each",
        ) from error


def _voxel(value: object) -> Voxel:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError("not a point")
    i, j, k = map(_coordinate, value)
    return i, j, k


def _coordinate(value: object) -> float:
    """A number. In Python, true and false are numbers too, and float() reads texts."""
    if not is_number(value) or not abs(float(value)) < _MAX_NUMBER:
        raise ValueError("a number is not a voxel index")
    return float(value)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a JSON value is a number: neither true, false, nor a text."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _holding(voxel: Voxel) -> Voxel:
    i, j, k = (float(math.floor(value + 0.5)) for value in voxel)
    return i, j, k


def read_flag(value: object, name: str) -> bool:
    """Read true or false as MONAI Label does: in Python, bool("false") is True."""
    word = "" if value is None else str(value).lower()
    if word not in (*_YES, *_NO):
        raise InputError(
            f"{name} {str(value)[:80]!r}",
            expected="true or false",
            remedy=f"send {name}: true, or omit it",
        )
    return word in _YES


def read_whole_number(value: object, name: str) -> int | None:
    """Read a number from 0, without its fraction, also one written as text; None for None and "".

    Raises:
        InputError: another value, true and false among them.
    """
    if value is None or value == "":
        return None
    try:
        number = int(value) if isinstance(value, str) or is_number(value) else -1
    except (ValueError, OverflowError):  # OverflowError: infinite
        number = -1
    if not 0 <= number <= _MAX_NUMBER:
        raise InputError(
            f"{name} {str(value)[:80]!r}",
            expected=f"a whole number from 0 to {_MAX_NUMBER}",
            remedy=f"send for example {name}: 12",
        )
    return number
