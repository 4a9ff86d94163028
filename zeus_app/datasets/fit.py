"""Does a truth fit its image better in another order? For CHAOS, whose PNG files name no place.

A mask that lies right tells much about the intensities: the variance that is left within the labels
and within the background is smallest. On the 14 abdomens of CHAOS that the project has (T2-SPIR, as
NIfTI), it is smaller for the mask as stored than with any one axis reversed, in all 14;
`tests/datasets/test_fit.py` repeats that. Brains are nearly symmetric: it says little about them.
"""

import numpy as np

from zeus_app.types import Volume

REVERSALS = {"columns": 0, "rows": 1, "slices": 2}
"""What may be reversed -> the axis of the array."""


def variance_within_labels(image: Volume, mask: Volume, *, reverse: int | None = None) -> float:
    """Mean variance of the image within the labels and the background, by number of voxels.

    Args:
        image: (X, Y, Z) intensities.
        mask: (X, Y, Z) label map on the same grid.
        reverse: axis along which the mask is reversed first; None for none.
    """
    labels = mask.array if reverse is None else np.flip(mask.array, axis=reverse)
    drawn, values = labels.ravel(), image.array.astype(np.float64).ravel()
    sizes = np.bincount(drawn)
    present = sizes > 0
    means = np.bincount(drawn, weights=values)[present] / sizes[present]
    squares = np.bincount(drawn, weights=values**2)[present]
    return float((squares - means**2 * sizes[present]).sum() / len(values))


def better_reversal(image: Volume, mask: Volume) -> str:
    """The reversal in `REVERSALS` under which the mask fits best; "" if it does as it is."""
    best, smallest = "", variance_within_labels(image, mask)
    for name, axis in REVERSALS.items():
        variance = variance_within_labels(image, mask, reverse=axis)
        if variance < smallest:
            best, smallest = name, variance
    return best
