"""A suite: which models learn from which patients for how long. One YAML each in suites/."""

from itertools import product
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zeus_app.settings import presets

PACKAGE = "zeus_app.bench.suites"
Settings = dict[str, str]
_SMOKE = "-smoke"
SMOKE_S, SMOKE_LIMIT_S = 300.0, 600.0
SMOKE_RECIPE = {"epochs": "1", "batch_slices": "4"}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cohort(_Strict):
    """The patients of a part.

    Attributes:
        data: "real" for a folder below ZEUS_REAL_DATA that is named after the target; "phantoms"
            for the sample studies; "dataset" for a downloaded folder, which `--data` names.
        target: name of the target, or path of its YAML.
        title: in tables; the cohort's name if empty.
        folds: the studies that each fold judges, one study a patient. A fold learns from the
            studies of all other folds. Empty for a dataset, which `dataset_folds` splits.
        learn: studies that every fold learns from besides, and that no fold judges.
        dataset_folds: number of folds into which a seeded split divides a dataset's patients.
        split_seed: seed of this split.
    """

    data: Literal["real", "phantoms", "dataset"]
    target: str
    title: str = ""
    folds: tuple[tuple[str, ...], ...] = ()
    learn: tuple[str, ...] = ()
    dataset_folds: int = Field(5, ge=2)
    split_seed: int = 0

    @property
    def fold_count(self) -> int:
        """Number of folds."""
        return self.dataset_folds if self.data == "dataset" else len(self.folds)

    @model_validator(mode="after")
    def _check_folds(self) -> Self:
        names = [study for fold in self.folds for study in fold] + list(self.learn)
        if len(set(names)) != len(names):
            raise ValueError("a study is in two folds")
        if (self.data == "dataset") == bool(self.folds):
            raise ValueError("`folds` belongs to every cohort but a dataset")
        return self


class Part(_Strict):
    """Models that are compared with each other, in one table.

    Attributes:
        name: part of the jobs' ids.
        title: heading of the table.
        cohort: name of a cohort of the suite.
        entries: each a mapping from settings of a server to one value or several. Several values
            make one model for each combination.
        settings: settings that all entries share.
        recipe: parameters of the trainings that differ from each model's default recipe.
        seconds: wall-clock time of each training, with the preparation of its patients.
        folds: numbers of the folds to run, from 0.
        seeds: seeds of weights, order and augmentation.
        patients: numbers of training patients; 0 for all of the fold.
        every_subset: judge with every subset of the sequences too, without another training.
        measure: "masks", or "speed" for the duration of a step alone: nothing is judged.
    """

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    cohort: str
    entries: tuple[dict[str, str | list[str]], ...] = Field(min_length=1)
    settings: Settings = {}
    recipe: Settings = {}
    seconds: float = Field(gt=0)
    folds: tuple[int, ...] = Field((0,), min_length=1)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    patients: tuple[int, ...] = Field((0,), min_length=1)
    every_subset: bool = False
    measure: Literal["masks", "speed"] = "masks"

    @property
    def models(self) -> list[Settings]:
        """The settings of each model, in the order of the entries."""
        return [{**self.settings, **model} for entry in self.entries for model in _combined(entry)]


def _combined(entry: dict[str, str | list[str]]) -> list[Settings]:
    choices = [[value] if isinstance(value, str) else value for value in entry.values()]
    return [dict(zip(entry, values, strict=True)) for values in product(*choices)]


class PaperRow(_Strict):
    """A row of a table of the paper.

    Attributes:
        match: settings that a model needs to be compared with this row.
        title: the paper's name of the row, where it differs.
        parameters_m: trained parameters, in millions; none in the ablations.
        figures: name of a cohort -> DSC and mIoU, in percent.
    """

    match: Settings
    title: str = ""
    parameters_m: float | None = None
    figures: dict[str, tuple[float, float]]


class NotRun(_Strict):
    """Something that the suite leaves out, and why."""

    what: str
    why: str


class Suite(_Strict):
    """All of a suite.

    Attributes:
        name: name of its file.
        about: one or two sentences.
        cohorts: name -> patients.
        parts: in the order of the jobs.
        limit_s: after so many seconds a job is ended, with its imports and its judging.
        paper: the paper's own figures, to stand beside.
        not_run: what is left out.
    """

    name: str
    about: str
    cohorts: dict[str, Cohort]
    parts: tuple[Part, ...] = Field(min_length=1)
    limit_s: float = Field(900, gt=0)
    paper: tuple[PaperRow, ...] = ()
    not_run: tuple[NotRun, ...] = ()

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        for part in self.parts:
            if part.cohort not in self.cohorts:
                raise ValueError(f"part {part.name}: no cohort {part.cohort!r}")
            folds = self.cohorts[part.cohort].fold_count
            if not all(0 <= fold < folds for fold in part.folds):
                raise ValueError(f"part {part.name}: folds are 0 to {folds - 1}")
        names = [part.name for part in self.parts]
        if len(set(names)) != len(names):
            raise ValueError("two parts share one name")
        return self

    @property
    def words(self) -> str:
        """What names the suite on a command line."""
        name = self.name.removesuffix(_SMOKE)
        return name if name == self.name else f"{name} --smoke"

    def paper_row(self, model: Settings) -> PaperRow | None:
        """The first row of the paper whose settings a model has."""
        for row in self.paper:
            if row.match.items() <= model.items():
                return row
        return None


def load_suite(name: str) -> Suite:
    """A suite that ships with Zeus, or any YAML file by its path.

    Raises:
        UnknownNameError: no suite has this name.
        InputError: the file is not valid; the message names the field.
    """
    return presets.load("suite", name, PACKAGE, Suite)


def suite_names() -> list[str]:
    """Names of the suites that ship with Zeus."""
    return list(presets.shipped(PACKAGE))


SMOKE_COHORT = Cohort(
    data="phantoms",
    target="phantom",
    folds=(("phantom_00",), ("phantom_01",)),
)
SMOKE_SETTINGS = {"profile": "reference-small", "sequences": "", "llm4seg_llm": ""}
"""Values in place of a part's own: weights of this machine, sequences of the phantoms."""


def smoke(suite: Suite) -> Suite:
    """The suite in seconds: every model once, learning from one phantom and judged on another.

    Models that differ by towers or sequences alone become one. The paper's figures are left out.
    """
    seen: list[tuple[Settings, bool, str]] = []
    parts = []
    for part in suite.parts:
        models = []
        for model in part.models:
            small = {name: SMOKE_SETTINGS.get(name, value) for name, value in model.items()}
            small = {name: value for name, value in small.items() if value}
            kind = (small, part.every_subset, part.measure)
            if kind not in seen:
                seen.append(kind)
                models.append(small)
        if models:
            parts.append(_small(part, models))
    return suite.model_copy(
        update={
            "name": f"{suite.name}{_SMOKE}",
            "cohorts": {"phantoms": SMOKE_COHORT},
            "parts": tuple(parts),
            "limit_s": SMOKE_LIMIT_S,
            "paper": (),
        }
    )


def _small(part: Part, models: list[Settings]) -> Part:
    return part.model_copy(
        update={
            "cohort": "phantoms",
            "entries": tuple(models),
            "settings": {},
            "recipe": SMOKE_RECIPE,
            "seconds": SMOKE_S,
            "folds": (0,),
            "seeds": (0,),
            "patients": (0,),
        }
    )
