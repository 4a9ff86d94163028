"""Check a study by its headers: its files are readable and show one body region.

A sequence that cannot be used is left out with the reason; the study goes on without it.
"""

import logging
from dataclasses import replace

import numpy as np

from zeus_app.errors import InputError
from zeus_app.settings.file_names import check_utf8
from zeus_app.studies.align import MIN_OVERLAP, field_of_view
from zeus_app.studies.candidates import files_of
from zeus_app.targets import Target
from zeus_app.types import Grid, RejectedStudy, StudyCandidate, UnusedImage, VolumeSource
from zeus_app.volumes.voxels import COPY_AGAIN, check_right_angles

logger = logging.getLogger(__name__)
_SAMPLES = 32  # sampled points per axis; all voxels would take too long for a whole folder


def check_headers(study: StudyCandidate, target: Target) -> StudyCandidate | RejectedStudy:
    """The study with the sequences that can be used, or the reason why none can.

    No voxels are read. A sequence with an unusable header is listed among the unused images, as is
    a sheared reference, which clients cannot show. Of sequences of two body regions the larger
    group is used. If there is none, the study is rejected: it is unknown which of them is wrong.
    """
    grids, reasons = _grids(study, target)
    try:
        near, apart = _of_one_region(grids, target)
    except InputError as error:
        near, apart = frozenset(), {"": str(error)}
    if not near:
        every = (*reasons.values(), *apart.values())
        return study.rejected(files_of(study.sources), " ".join(every))
    reasons |= apart
    unused = [UnusedImage(study.sources[name].files, reason) for name, reason in reasons.items()]
    return replace(
        study,
        sources={name: source for name, source in study.sources.items() if name in near},
        evidence={name: why for name, why in study.evidence.items() if name not in reasons},
        unused=(*study.unused, *unused),
    )


def _grids(study: StudyCandidate, target: Target) -> tuple[dict[str, Grid], dict[str, str]]:
    """Sequence name -> its grid; and, for the sequences that cannot be used, -> the reason."""
    grids: dict[str, Grid] = {}
    reasons: dict[str, str] = {}
    for sequence, source in study.sources.items():
        try:
            grids[sequence] = _grid(source)
        except InputError as error:
            reasons[sequence] = f"{sequence}: {error}"
    names = [name for name in (*target.reference, *target.sequence_names) if name in grids]
    for name in dict.fromkeys(names):
        try:
            check_right_angles(grids[name], name)  # clients show the reference
            break
        except InputError as error:
            del grids[name]
            reasons[name] = str(error)
    return grids, reasons


def _grid(source: VolumeSource) -> Grid:
    """The grid of a source. Whatever is wrong with a file costs its own sequence alone."""
    for path in source.files:
        check_utf8(path)
    try:
        return source.grid()
    except InputError:
        raise
    except Exception as error:
        logger.exception("the header of %s", source.files[0])
        raise InputError(
            f"{source.files[0]} cannot be read: {type(error).__name__}",
            expected="a complete image file",
            remedy=COPY_AGAIN,
        ) from error


def _of_one_region(grids: dict[str, Grid], target: Target) -> tuple[frozenset[str], dict[str, str]]:
    """The largest group of sequences that share their space, and why the others are left out.

    The group is empty if two are equally large. `align` checks the space exactly.
    """
    if not grids:
        return frozenset(), {}
    groups = {
        frozenset(other for other in grids if _share(grids, name, other) >= MIN_OVERLAP)
        for name in grids
    }
    best = max(groups, key=len)
    if len(groups) == 1:
        return best, {}
    is_unclear = sum(len(group) == len(best) for group in groups) > 1
    reference = target.reference_of(tuple(n for n in grids if is_unclear or n in best))
    names = [name for name in grids if name != reference] if is_unclear else set(grids) - best
    apart = {name: _why_apart(grids, name, reference) for name in names}
    return (frozenset() if is_unclear else best), apart


def _share(grids: dict[str, Grid], first: str, second: str) -> float:
    return approximate_share(grids[first], grids[second])


def _why_apart(grids: dict[str, Grid], name: str, reference: str) -> str:
    return (
        f"{name} ({grids[name]}) and the reference {reference} ({grids[reference]}) share "
        f"{_share(grids, name, reference):.1%} of the smaller. Expected: sequences of one body"
        f" region, sharing at least {MIN_OVERLAP:.0%}. Check that the files belong to one study."
    )


def approximate_share(first: Grid, second: Grid) -> float:
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
