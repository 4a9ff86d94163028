"""Initial masks and scribbles on the grid of the study."""

import numpy as np

from zeus_app.server.interactive.initial_masks import scribbles_on
from zeus_app.types import Grid, Volume


def test_no_scribbled_voxel_is_lost_between_those_of_a_coarser_grid() -> None:
    """A thick slice holds four thin ones. No scribbled slice holds the centre of a thick one."""
    thick = Grid((10, 10, 3), np.diag([2.0, 2.0, 4.0, 1.0]))
    thin = np.eye(4)
    thin[:3, 3] = (-0.5, -0.5, -1.5)
    array = np.zeros((20, 20, 12), np.float32)
    array[5, 8, 4] = 3  # on it, at (4.5, 7.5, 2.5) mm
    array[9, 2, 7] = 2  # outside it, at (8.5, 1.5, 5.5) mm
    scribbles = scribbles_on(thick, Volume(array, thin))
    np.testing.assert_allclose(scribbles.foreground, [(2.25, 3.75, 0.625)])
    np.testing.assert_allclose(scribbles.background, [(4.25, 0.75, 1.375)])
