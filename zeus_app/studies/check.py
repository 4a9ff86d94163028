"""What headers alone tell: whether a study's files can be read and lie in one body region."""

import numpy as np

from zeus_app.errors import InputError
from zeus_app.studies.align import MIN_OVERLAP, field_of_view
from zeus_app.studies.candidates import files_of
from zeus_app.targets import Target
from zeus_app.types import Grid, RejectedStudy, StudyCandidate
from zeus_app.volumes.voxels import check_right_angles

_PROBES = 32  # points along an axis that stand for all voxels: discovery looks at every study


def check_headers(found: StudyCandidate, target: Target) -> StudyCandidate | RejectedStudy:
    """The study itself, or why it is unusable; voxels stay unread."""
    grids: dict[str, Grid] = {}
    reasons = []
    for sequence, source in found.sources.items():
        try:
            grids[sequence] = source.grid()
        except InputError as error:
            reasons.append(f"{sequence}: {error}")
    try:
        if not reasons:
            reference = target.reference_of(tuple(grids))
            check_right_angles(grids[reference], reference)  # clients see this one
            reasons = _strays(grids, reference)
    except InputError as error:  # or an affine too flat to look anything up on
        reasons = [str(error)]
    if not reasons:
        return found
    return RejectedStudy(found.name, found.folder, files_of(found.sources), " ".join(reasons))


def _strays(grids: dict[str, Grid], reference: str) -> list[str]:
    """Why sequences cannot be aligned with the reference; `align` has the last word."""
    shares = {name: shared_share(grid, grids[reference]) for name, grid in grids.items()}
    return [
        f"{name} ({grids[name]}) and the reference {reference} ({grids[reference]}) share "
        f"{share:.1%} of the smaller. Expected: sequences of one body region, sharing at least "
        f"{MIN_OVERLAP:.0%}. Check that the files belong to one examination."
        for name, share in shares.items()
        if share < MIN_OVERLAP
    ]


def shared_share(first: Grid, second: Grid) -> float:
    """About which share of the smaller of two volumes lies inside the other."""
    if first.matches(second):
        return 1.0
    smaller, larger = sorted((first, second), key=_millilitres)
    return float(field_of_view(larger, _coarser(smaller)).mean())


def _millilitres(grid: Grid) -> float:
    return float(np.prod(grid.shape)) * grid.voxel_ml


def _coarser(grid: Grid) -> Grid:
    """The same box in at most `_PROBES` voxels an axis."""
    x, y, z = (min(n, _PROBES) for n in grid.shape)
    scale = np.array(grid.shape) / (x, y, z)
    affine = grid.affine_ras @ np.diag([*scale, 1.0])
    # The first voxel's centre moves so that the faces stay where they are.
    affine[:3, 3] = (grid.affine_ras @ [*((scale - 1) / 2), 1.0])[:3]
    return Grid((x, y, z), affine)
