"""Find the background of a volume: its intensity where there is no patient.

Three kinds occur: a constant value from masking, such as skull-stripping (in a z-scored volume it
lies inside the tissue's range); noisy air; and no air at all, if the body fills the volume.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from zeus_app.types import BoolArray, FloatArray

MASKED_SHARE = 0.4
"""Share of equal voxels above which their value is taken for a mask's. Clipped air has 0.2."""
CORNER_SHARE = 0.08
"""Edge of the eight corner blocks in which air is sought, as a share of the volume's edge."""
NOISE_CEILING = 0.15
"""Maximum noise of air, as a share of the volume's range."""
NOISE_MARGIN = 1.5
"""Factor on the noise's 99.5th percentile. About 1 in 10 000 voxels of Rayleigh noise is above."""
TOLERANCE_FLOOR = 0.005
"""Minimum tolerance as a share of the range, for effects of resampling and ringing."""
SAMPLE_VOXELS = 500_000
"""Approximate number of voxels in the sample for statistics."""


@dataclass(frozen=True)
class Background:
    """The background's intensity. Voxels that differ by more than `tolerance` show tissue.

    Attributes:
        value: intensity, in the volume's units.
        tolerance: at least 0, in the same units.
    """

    value: float
    tolerance: float


def find_background(array: FloatArray) -> Background:
    """Find the background of one volume.

    Args:
        array: (X, Y, Z) float32, finite intensities of any scale.

    Returns:
        The background. A constant volume is all background.
    """
    sample = _thinned(array)
    low, high = (float(value) for value in np.percentile(sample, (0.5, 99.5)))
    if high <= low:  # constant, or constant with a few outliers
        low, high = float(array.min()), float(array.max())
    span = high - low
    values, counts = np.unique(sample, return_counts=True)
    most_common = counts.argmax()
    if counts[most_common] >= MASKED_SHARE * sample.size:
        value = float(values[most_common])
        noise = 0.0
    else:
        value, noise = _darkest_corner(array)
        if noise > NOISE_CEILING * span:  # tissue in every corner, no air
            value, noise = low, 0.0
    return Background(value, max(noise, TOLERANCE_FLOOR * span))


def tissue_mask(array: FloatArray, background: Background) -> BoolArray:
    """Mark the voxels that show the patient.

    In a z-scored volume the background lies inside the tissue's range, and tissue of this value
    looks like background. Such holes are filled slice by slice.

    Args:
        array: (X, Y, Z) float32 intensities.
        background: the background of the same volume.

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
    """Every n-th voxel along the long axes, as a vector. Sorting all voxels takes a second."""
    step = max(1, round((array.size / SAMPLE_VOXELS) ** (1 / 3)))
    steps = tuple(slice(None, None, step if n > 4 * step else 1) for n in array.shape)
    return array[steps].ravel()


def _darkest_corner(array: FloatArray) -> tuple[float, float]:
    """Median, and noise with its margin, of the corner block with the lowest median."""
    edges = [max(1, round(CORNER_SHARE * n)) for n in array.shape]
    ends = [(slice(None, edge), slice(-edge, None)) for edge in edges]
    blocks = [array[corner].astype(np.float64) for corner in product(*ends)]
    block = min(blocks, key=lambda b: float(np.median(b)))
    value = float(np.median(block))
    return value, NOISE_MARGIN * float(np.percentile(np.abs(block - value), 99.5))
