"""What a volume shows where there is no patient, found from its voxels and never assumed to be 0.

Three kinds occur: a constant left by masking (skull-stripped volumes; anywhere in the range when
they were z-scored), noisy air around the body, and no air at all when the body fills the view.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from zeus_app.types import BoolArray, FloatArray

MASKED_SHARE = 0.4
"""Share of exactly equal voxels from which their value is a mask's: clipped air stays near 0.2."""
CORNER_SHARE = 0.08
"""Edge of the blocks at the eight corners, where air is looked for, as a share of the volume's."""
NOISE_CEILING = 0.15
"""Widest noise, as a share of the volume's range, that still passes for air."""
NOISE_MARGIN = 1.5
"""Times the corner noise's 99.5th percentile: about 1 voxel in 10 000 of Rayleigh noise passes."""
TOLERANCE_FLOOR = 0.005
"""Least tolerance as a share of the range, for what resampling and ringing leave."""
SAMPLE_VOXELS = 500_000
"""About how many voxels the statistics look at."""


@dataclass(frozen=True)
class Background:
    """The value where there is no patient; farther than `tolerance` from it lies tissue.

    Attributes:
        value: in the volume's own intensity units.
        tolerance: in the same units, at least 0.
    """

    value: float
    tolerance: float


def find_background(array: FloatArray) -> Background:
    """Find the background of one volume.

    Args:
        array: (X, Y, Z) float32, finite intensities of any scale.

    Returns:
        Value and tolerance. A constant volume is all background.
    """
    sample = _thinned(array)
    low, high = (float(value) for value in np.percentile(sample, (0.5, 99.5)))
    if high <= low:  # nothing but a few outliers, or constant
        low, high = float(array.min()), float(array.max())
    span = high - low
    values, counts = np.unique(sample, return_counts=True)
    commonest = counts.argmax()
    if counts[commonest] >= MASKED_SHARE * sample.size:
        value = float(values[commonest])
        noise = 0.0
    else:
        value, noise = _darkest_corner(array)
        if noise > NOISE_CEILING * span:  # tissue reaches into every corner: there is no air
            value, noise = low, 0.0
    return Background(value, max(noise, TOLERANCE_FLOOR * span))


def tissue_mask(array: FloatArray, background: Background) -> BoolArray:
    """Mark the voxels that show the patient.

    Where the background lies inside the tissue's range (z-scored within a mask, 0 outside), tissue
    of just that value would look like background; such holes are closed slice by slice.

    Args:
        array: (X, Y, Z) float32 intensities.
        background: of the same volume.

    Returns:
        (X, Y, Z) bool.
    """
    above: BoolArray = array > background.value + background.tolerance
    below: BoolArray = array < background.value - background.tolerance
    mask: BoolArray = above | below
    if np.count_nonzero(below) > 0.05 * np.count_nonzero(mask):
        for z in range(mask.shape[2]):
            mask[:, :, z] = ndimage.binary_fill_holes(mask[:, :, z])
    return mask


def _thinned(array: FloatArray) -> FloatArray:
    """Every n-th voxel along the long axes, flat; a full sort would cost a second a volume."""
    step = max(1, round((array.size / SAMPLE_VOXELS) ** (1 / 3)))
    steps = tuple(slice(None, None, step if n > 4 * step else 1) for n in array.shape)
    return array[steps].ravel()


def _darkest_corner(array: FloatArray) -> tuple[float, float]:
    """Median and noise (times its margin) of the corner block with the lowest median."""
    edges = [max(1, round(CORNER_SHARE * n)) for n in array.shape]
    ends = [(slice(None, edge), slice(-edge, None)) for edge in edges]
    blocks = [array[corner].astype(np.float64) for corner in product(*ends)]
    block = min(blocks, key=lambda b: float(np.median(b)))
    value = float(np.median(block))
    return value, NOISE_MARGIN * float(np.percentile(np.abs(block - value), 99.5))
