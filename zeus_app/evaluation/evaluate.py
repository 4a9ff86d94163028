"""Compare all masks of a folder with the truth: `zeus evaluate`."""

from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.evaluation.compare import CaseScores, Reading, Structure, compare, structures_of
from zeus_app.evaluation.pairs import find_pairs
from zeus_app.evaluation.tables import Evaluation
from zeus_app.progress import Report, silent
from zeus_app.settings.file_names import readable

_STAGE = "cases"


def evaluate(masks: Path, truth: Path, reading: Reading, *, report: Report = silent) -> Evaluation:
    """Compare every mask that has a truth. A case that cannot be compared is listed.

    Without a target, every value above 0 in any of the files is a label. A case in which neither
    file has it scores 1 there, as with a target.

    Args:
        masks: a folder of label maps, or one; see `find_pairs`.
        truth: the same for the truth.
        reading: how values are read.
        report: told after each case.

    Raises:
        InputError: see `find_pairs`.
    """
    found = find_pairs(masks, truth, target=reading.target)
    left_out = {_shown(path, masks, truth): reason for path, reason in found.alone.items()}
    cases: list[CaseScores] = []
    total = len(found.pairs)
    report(_STAGE, 0, total)
    for done, pair in enumerate(found.pairs, start=1):
        try:
            cases.append(compare(pair, reading))
        except InputError as error:
            left_out[pair.case] = readable(error)
        report(_STAGE, done, total)
    return Evaluation(cases, _structures(cases, reading), left_out)


def _structures(cases: list[CaseScores], reading: Reading) -> tuple[Structure, ...]:
    if reading.target is not None:
        return structures_of(reading.target)
    found = {one for case in cases for one in case.scores}
    return tuple(sorted(found, key=lambda one: one.values))


def _shown(path: Path, masks: Path, truth: Path) -> str:
    """A file below its folder, `truth/p1.nii.gz`; the whole path if both have one name."""
    root = next((one for one in (masks, truth) if path.is_relative_to(one)), path)
    is_clear = root != path and masks.name != truth.name
    return readable(Path(root.name) / path.relative_to(root) if is_clear else path)
