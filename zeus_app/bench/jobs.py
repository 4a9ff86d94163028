"""The jobs of a suite, in a fixed order: each is one training and its judging."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import BaseModel, ConfigDict

from zeus_app.baselines.registry import NETWORKS
from zeus_app.bench.suite import Cohort, Part, Settings, Suite
from zeus_app.errors import InputError

EXTRA_S = 30.0
"""Estimate of what a job takes besides its training, until jobs of the suite have been measured."""


class Job(BaseModel):
    """One training of one model on the patients of one fold, judged on the others.

    Attributes:
        suite, part: names.
        title: the model's name in the tables.
        cohort_name: name of the cohort in the suite.
        cohort: the patients.
        conf: settings of the model.
        recipe: parameters of the training that differ from the model's default recipe.
        fold, seed: numbers.
        patients: number of training patients; 0 for all of the fold.
        seconds: time of the training, with the preparation of its patients.
        limit_s: after so many seconds the job is ended.
        every_subset: judge with every subset of the sequences too.
        measure: "masks" or "speed".
    """

    model_config = ConfigDict(frozen=True)

    suite: str
    part: str
    title: str
    cohort_name: str
    cohort: Cohort
    conf: Settings
    recipe: Settings
    fold: int
    seed: int
    patients: int
    seconds: float
    limit_s: float
    every_subset: bool
    measure: str

    @property
    def id(self) -> str:
        """The job's name within its suite, and the name of its file."""
        name = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
        few = f"-{self.patients}-patients" if self.patients else ""
        return f"{self.part}-{name}{few}-fold{self.fold}-seed{self.seed}"

    @property
    def digest(self) -> str:
        """Hash of everything that decides the job's result, but the code and the data."""
        parts = self.model_dump_json(exclude={"suite", "part", "title", "limit_s"})
        return hashlib.blake2b(parts.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Shard:
    """Each n-th job, beginning with the i-th; i counts from 1.

    Raises:
        InputError: i is not in 1 to n.
    """

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise InputError(
                f"shard {self.number}/{self.of}",
                expected="i/n with i from 1 to n",
                remedy="for two GPUs run --shard 1/2 and --shard 2/2",
            )

    @classmethod
    def read(cls, text: str) -> "Shard":
        """Read "i/n".

        Raises:
            InputError: the text is something else.
        """
        number, slash, of = text.partition("/")
        if not (slash and number.isdigit() and of.isdigit()):
            raise InputError(
                f"shard {text!r}", expected="i/n, such as 1/2", remedy="send --shard 1/2"
            )
        return cls(int(number), int(of))

    def of_jobs(self, jobs: Sequence[Job]) -> list[Job]:
        """The shard's share of the jobs."""
        return list(jobs[self.number - 1 :: self.of])


def plan(suite: Suite) -> list[Job]:
    """All jobs of a suite: part by part, and within a part fold by fold and model by model.

    Raises:
        InputError: two models of a part cannot be told apart.
    """
    jobs = [job for part in suite.parts for job in _jobs_of(suite, part)]
    ids = [job.id for job in jobs]
    doubled = sorted({each for each in ids if ids.count(each) > 1})
    if doubled:
        raise InputError(
            f"suite {suite.name}: two jobs {doubled[0]}",
            expected="models of a part that differ in a setting",
            remedy="remove one of the two entries",
        )
    return jobs


def _jobs_of(suite: Suite, part: Part) -> list[Job]:
    models = part.models
    choices = product(part.folds, part.patients, part.seeds, models)
    return [
        Job(
            suite=suite.name,
            part=part.name,
            title=title_of(suite, models, model),
            cohort_name=part.cohort,
            cohort=suite.cohorts[part.cohort],
            conf=model,
            recipe=part.recipe,
            fold=fold,
            seed=seed,
            patients=patients,
            seconds=part.seconds,
            limit_s=suite.limit_s,
            every_subset=part.every_subset,
            measure=part.measure,
        )
        for fold, patients, seed, model in choices
    ]


def title_of(suite: Suite, models: Sequence[Settings], model: Settings) -> str:
    """The paper's name of the row; else the model, and its settings that not all models share."""
    row = suite.paper_row(model)
    if row and row.title:
        return row.title
    differing = [
        value
        for name, value in model.items()
        if name != "model" and any(other.get(name) != value for other in models)
    ]
    return ", ".join([_model_title(model.get("model", "zeus")), *differing])


def _model_title(name: str) -> str:
    if name == "zeus":
        return "Zeus"
    return NETWORKS[name].title if name in NETWORKS else name


def cost_s(jobs: Sequence[Job], *, extra_s: float = EXTRA_S) -> float:
    """Seconds that jobs take, one after the other.

    Args:
        jobs: the jobs.
        extra_s: what each takes besides its training.
    """
    return sum(min(max(job.seconds + extra_s, 0.0), job.limit_s) for job in jobs)


def in_words(seconds: float) -> str:
    """A duration, such as "2 h 31 min", "14 min" or "40 s"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"
