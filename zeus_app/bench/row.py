"""Rows: what is stored of each job, one JSON file a row."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeus_app.bench.jobs import Job
from zeus_app.bench.provenance import code_version
from zeus_app.errors import InputError
from zeus_app.storage.atomic import write_text_atomically

Row = Mapping[str, Any]
"""The fields of `identity`, "status", and what `worker.run_job` measured or the "reason"."""
DONE, FAILED = "done", "failed"


def identity(job: Job) -> dict[str, Any]:
    """What every row says about its job."""
    return {
        "suite": job.suite,
        "job": job.id,
        "digest": job.digest,
        "commit": code_version(),
        **job.model_dump(mode="json", exclude={"suite", "cohort"}),
        "target": job.cohort.target,
    }


def failed_row(job: Job, reason: str, wall_s: float) -> dict[str, Any]:
    """The row of a job that ended without a result."""
    return {**identity(job), "status": FAILED, "reason": reason, "wall_s": wall_s}


class Rows:
    """The rows of one suite.

    Args:
        folder: reports/bench/<suite>.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, job_id: str) -> Path:
        """The file of a job's row."""
        return self.folder / "rows" / f"{job_id}.json"

    def find(self, job: Job) -> Row | None:
        """The row of a job; None if there is none, or one of other settings."""
        path = self.path(job.id)
        row = _read(path) if path.exists() else None
        return row if row and row["digest"] == job.digest else None

    def has_other(self, job: Job) -> bool:
        """Whether a row has the job's name, and was measured with other settings."""
        return self.path(job.id).exists() and self.find(job) is None

    def all(self) -> list[Row]:
        """Every row, sorted by the job's name."""
        return [_read(path) for path in sorted((self.folder / "rows").glob("*.json"))]

    def put(self, row: Row) -> None:
        """Store a row, in the place of an earlier one of the job."""
        write_text_atomically(self.path(row["job"]), json.dumps(row, indent=1) + "\n")


def _read(path: Path) -> Row:
    try:
        row: Row = json.loads(path.read_text(encoding="utf-8"))
        if not {"digest", "status", "job"} <= row.keys():
            raise ValueError("no digest, status or job")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}, which is no row of a benchmark",
            expected="a JSON file that `zeus bench run` wrote",
            remedy="delete this file; the next run measures the job again",
        ) from error
    return row
