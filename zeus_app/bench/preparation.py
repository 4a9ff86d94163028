"""Prepares a job's patients, and tells what that costs when no embedding is cached.

Jobs of the same towers share a cache, so that a benchmark does not encode the same pictures for
every model. The first job of them measures the preparation of each study; later jobs are charged
the same seconds, although they find the embeddings in the cache.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zeus_app.bench.jobs import Job
from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.training.cases import Case
from zeus_app.training.preparation import prepare_cases
from zeus_app.training.setup import TrainingSetup
from zeus_app.types import LabelledStudy

_OF_DECODERS = {"decoder", "fusion", "union", "threshold", "model"}
"""Settings that change neither an embedding nor a text."""
_UNFINISHED = "unfinished"


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A study for a model.

    Attributes:
        case: the study after the frozen towers.
        seconds: what its preparation takes with an empty cache.
    """

    case: Case
    seconds: float


class Preparation:
    """Prepares studies in a state folder that jobs of the same towers share.

    A job that was killed in the middle leaves embeddings whose cost nobody measured. The next job
    therefore empties the folder.

    Args:
        work: folder for all state folders.
        job: its settings decide which folder it shares.
        shard: text that keeps jobs of several processes apart.
    """

    def __init__(self, work: Path, job: Job, *, shard: str = "") -> None:
        towers = {name: text for name, text in job.conf.items() if name not in _OF_DECODERS}
        towers |= {"is zeus": str(job.conf.get("model", "zeus") == "zeus"), "shard": shard}
        text = json.dumps([job.cohort_name, job.cohort.target, job.seed, towers], sort_keys=True)
        self.state = work / hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
        if (self.state / _UNFINISHED).exists():
            shutil.rmtree(self.state)

    def prepare(
        self, setup: TrainingSetup, studies: Iterable[LabelledStudy], report: Report
    ) -> dict[str, PreparedCase]:
        """Run the frozen towers over studies, each timed at its first time.

        Raises:
            InputError: a study cannot be used.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        mark = self.state / _UNFINISHED
        mark.touch()
        prepared = {study.id: self._prepare(setup, study, report) for study in studies}
        mark.unlink()
        return prepared

    def _prepare(self, setup: TrainingSetup, study: LabelledStudy, report: Report) -> PreparedCase:
        began = time.monotonic()
        cases, skipped = prepare_cases(setup, [study], report=report)
        seconds = time.monotonic() - began
        if skipped:
            raise InputError(
                f"study {study.id}: {skipped[study.id]}",
                expected="studies that every model of the suite can use",
                remedy="correct the study, or leave it out of the suite's folds",
            )
        return PreparedCase(cases[study.id], self._first_seconds(study.id, seconds))

    def _first_seconds(self, study_id: str, seconds: float) -> float:
        path = self.state / "seconds" / f"{study_id}.json"
        if path.exists():
            return float(json.loads(path.read_text(encoding="utf-8")))
        write_text_atomically(path, json.dumps(seconds))
        return seconds
