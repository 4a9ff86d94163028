"""What a dataset holds and what is wrong with it. Nothing in its folder is changed."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from zeus_app.datasets.contents import LabelCounts, SequenceRange
from zeus_app.datasets.dataset import TRAIN, Case, DataProblem, Dataset, Truth, translated
from zeus_app.datasets.described import check_description, undescribed_values
from zeus_app.datasets.duplicates import find_duplicates
from zeus_app.datasets.fit import better_reversal
from zeus_app.errors import InputError
from zeus_app.labels.grids import describe_grid, same_place
from zeus_app.progress import Report, silent
from zeus_app.settings.file_names import readable
from zeus_app.types import Volume

_STAGE = "cases"


@dataclass
class Verification:
    """The result of `verify`.

    Attributes:
        dataset: the dataset.
        sequences: sequence -> range of its images.
        labels: what the masks hold.
        problems: everything that is wrong.
        reversals: what must be reversed for the truth to fit best -> number of cases; "" for
            nothing. For CHAOS alone.
    """

    dataset: Dataset
    sequences: dict[str, SequenceRange] = field(default_factory=dict)
    labels: LabelCounts = field(default_factory=LabelCounts)
    problems: list[DataProblem] = field(default_factory=list)
    reversals: Counter[str] = field(default_factory=Counter)

    def label_of(self, value: int) -> str:
        """Name of the target's label that a stored value means; "" if none."""
        names = {number: name for name, number in self.dataset.target.label_values.items()}
        truths = (truth for case in self.dataset.labelled for truth in case.truths.values())
        values = next((truth.values for truth in truths), {})
        return names.get(values.get(value, 0), "")

    @property
    def absent(self) -> tuple[str, ...]:
        """Labels of the target that no mask shows."""
        shown = {self.label_of(value) for value in self.labels.voxels}
        return tuple(name for name in self.dataset.target.label_names if name not in shown)

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {"ok": not self.problems, **self._summary(), **self._contents(), **self._wrong()}

    def _summary(self) -> dict[str, Any]:
        data = self.dataset
        return {
            "kind": data.kind,
            "name": readable(data.name),
            "folder": readable(data.folder),
            "identity": data.identity,
            "target": data.target.name,
            "convention": data.convention,
            "cases": len(data.cases),
            "labelled": len(data.labelled),
            "patients": len({case.patient for case in data.cases}),
            "parts": dict(sorted(Counter(case.part for case in data.cases).items())),
        }

    def _contents(self) -> dict[str, Any]:
        sequences = {
            name: {
                "cases": one.cases,
                "spacing_mm": list(map(list, one.spacing_mm)),
                "shape": list(map(list, one.shape)),
            }
            for name, one in self.sequences.items()
        }
        labels = [
            {
                "value": value,
                "label": self.label_of(value),
                "voxels": voxels,
                "cases": self.labels.cases[value],
            }
            for value, voxels in sorted(self.labels.voxels.items())
        ]
        return {"sequences": sequences, "labels": labels, "absent_labels": list(self.absent)}

    def _wrong(self) -> dict[str, Any]:
        folder = self.dataset.folder
        problems = [
            {
                "case": readable(problem.case),
                "problem": readable(problem.text),
                "files": list(map(readable, problem.files)),
            }
            for problem in self.problems
        ]
        ignored = [readable(path.relative_to(folder)) for path in self.dataset.ignored]
        return {"ignored": ignored, "problems": problems}


def verify(dataset: Dataset, *, with_voxels: bool = True, report: Report = silent) -> Verification:
    """Read all cases and collect what is wrong.

    Args:
        dataset: the dataset.
        with_voxels: read the voxels of all images too. Without it only their headers are read,
            which finds no damaged voxels. Masks are always read.
        report: told after each case.
    """
    done = Verification(dataset, {name: SequenceRange() for name in dataset.sequences})
    done.problems += dataset.problems
    done.problems += check_description(dataset)
    done.problems += _repeated_ids(dataset)
    for number, case in enumerate(dataset.cases):
        report(_STAGE, number, len(dataset.cases))
        done.problems += _check_images(case, done, with_voxels=with_voxels)
        done.problems += _check_truths(case, done, with_voxels=with_voxels)
    report(_STAGE, len(dataset.cases), len(dataset.cases))
    done.problems += undescribed_values(dataset, done.labels.voxels)
    done.problems += find_duplicates(dataset)
    done.problems += _check_order(done)
    return done


def _repeated_ids(dataset: Dataset) -> Iterator[DataProblem]:
    counts = Counter(case.id for case in dataset.cases)
    for name, count in counts.items():
        if count > 1:
            yield DataProblem(name, f"{count} folders or files of this name")


def _check_images(case: Case, done: Verification, *, with_voxels: bool) -> Iterator[DataProblem]:
    for name in done.dataset.sequences:
        if name not in case.sources:
            yield DataProblem(case.id, f"no {name}")
    for name, source in case.sources.items():
        try:
            grid = source.grid()
            done.sequences.setdefault(name, SequenceRange()).add(grid)
            if with_voxels:
                source.load()
        except InputError as error:
            yield DataProblem(case.id, f"{name}: {error}", source.files[:1])


def _check_truths(case: Case, done: Verification, *, with_voxels: bool) -> Iterator[DataProblem]:
    if not case.truths and case.part == TRAIN:
        yield DataProblem(case.id, "no truth")
    sequences: dict[int, list[str]] = defaultdict(list)
    for name, truth in case.truths.items():
        sequences[id(truth)].append(name)
    for names in sequences.values():
        truth = case.truths[names[0]]
        yield from _misplaced(case, names, truth)
        try:
            stored = truth.stored()
            if case.reference in names:
                done.labels.add(stored.array)
            mask = translated(stored, truth)
        except InputError as error:
            yield DataProblem(case.id, f"truth of {names[0]}: {error}", truth.files[:1])
            continue
        if not mask.array.any():
            yield DataProblem(case.id, f"truth of {names[0]} is empty", truth.files[:1])
        elif with_voxels and done.dataset.kind == "chaos":
            _note_order(case, names[0], mask, done)


def _misplaced(case: Case, names: list[str], truth: Truth) -> Iterator[DataProblem]:
    """Sequences that the truth does not lie on. Unreadable files are told elsewhere."""
    for name in names:
        try:
            mask, image = truth.grid(), case.sources[name].grid()
        except InputError:
            continue
        if not same_place(mask, image):
            yield DataProblem(
                case.id,
                f"the truth does not lie on {name}: {describe_grid(mask)}; {name}:"
                f" {describe_grid(image)}",
                (*truth.files[:1], *case.sources[name].files[:1]),
            )


def _note_order(case: Case, name: str, mask: Volume, done: Verification) -> None:
    """Note under which reversal the mask fits the image best."""
    try:
        image = case.sources[name].load()
    except InputError:  # told with the images
        return
    if image.array.shape == mask.array.shape:
        done.reversals[better_reversal(image, mask)] += 1


def _check_order(done: Verification) -> Iterator[DataProblem]:
    total = sum(done.reversals.values())
    for name, count in done.reversals.items():
        if name and 2 * count > total:
            yield DataProblem(
                "",
                f"{count} of {total} masks fit their images better with the {name} reversed; the"
                " order of the PNG files may be another one",
            )
