"""Check a study by its headers: its files are readable and show one body region."""

import numpy as np

from zeus_app.errors import InputError
from zeus_app.settings.file_names import check_utf8
from zeus_app.studies.align import MIN_OVERLAP, field_of_view
from zeus_app.studies.candidates import files_of
from zeus_app.targets import Target
from zeus_app.types import Grid, RejectedStudy, StudyCandidate
from zeus_app.volumes.voxels import check_right_angles

_SAMPLES = 32  # sampled points per axis; all voxels would take too long for a whole folder


def check_headers(study: StudyCandidate, target: Target) -> StudyCandidate | RejectedStudy:
    """The study itself, or the reason why it cannot be used. No voxels are read."""
    for path in files_of(study.sources):
        try:
            check_utf8(path)
        except InputError as error:
            return study.rejected((path,), str(error))
    grids: dict[str, Grid] = {}
    reasons = []
    for sequence, source in study.sources.items():
        try:
            grids[sequence] = source.grid()
        except InputError as error:
            reasons.append(f"{sequence}: {error}")
    try:
        if not reasons:
            reference = target.reference_of(tuple(grids))
            check_right_angles(grids[reference], reference)  # clients show the reference
            reasons = _apart(grids, reference)
    except InputError as error:  # also an affine that is not invertible
        reasons = [str(error)]
    if not reasons:
        return study
    return study.rejected(files_of(study.sources), " ".join(reasons))


def _apart(grids: dict[str, Grid], reference: str) -> list[str]:
    """The sequences that lie too far from the reference. `align` checks this exactly."""
    shares = {name: shared_share(grid, grids[reference]) for name, grid in grids.items()}
    return [
        f"{name} ({grids[name]}) and the reference {reference} ({grids[reference]}) share "
        f"{share:.1%} of the smaller. Expected: sequences of one body region, sharing at least "
        f"{MIN_OVERLAP:.0%}. Check that the files belong to one study."
        for name, share in shares.items()
        if share < MIN_OVERLAP
    ]


def shared_share(first: Grid, second: Grid) -> float:
    """The approximate share of the smaller of two volumes that lies inside the other."""
    if first.matches(second):
        return 1.0
    smaller, larger = sorted((first, second), key=_millilitres)
    return float(field_of_view(larger, _coarser(smaller)).mean())


def _millilitres(grid: Grid) -> float:
    return float(np.prod(grid.shape)) * grid.voxel_ml


def _coarser(grid: Grid) -> Grid:
    """The same box with at most `_SAMPLES` voxels per axis."""
    x, y, z = (min(n, _SAMPLES) for n in grid.shape)
    scale = np.array(grid.shape) / (x, y, z)
    affine = grid.affine_ras @ np.diag([*scale, 1.0])
    # Move the first voxel's centre, so that the faces of the box stay in place.
    affine[:3, 3] = (grid.affine_ras @ [*((scale - 1) / 2), 1.0])[:3]
    return Grid((x, y, z), affine)
