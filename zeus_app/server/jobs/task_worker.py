"""The process of one training, batch inference or scoring.

`task_processes.py` starts it with the folder that holds the request.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from monailabel.interfaces.utils.app import app_instance

from zeus_app.errors import InputError
from zeus_app.server.jobs.task_processes import OUTCOME, REQUEST

_FORMAT = "[%(asctime)s] [%(threadName)s] [%(levelname)s] (%(name)s:%(lineno)d) - %(message)s"


def run(folder: Path) -> int:
    """Do the task and write its outcome: the result, or the words of a refusal.

    Returns:
        The exit code: 2 after a refusal. Every other error leaves its traceback and code 1.
    """
    task = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    outcome: dict[str, Any]
    try:
        outcome = {"result": _do(task["kind"], task["request"])}
    except InputError as error:
        words = {"came": error.came, "expected": error.expected, "remedy": error.remedy}
        outcome = {"refused": words, "status": error.status}
    (folder / OUTCOME).write_text(json.dumps(outcome), encoding="utf-8")
    return 2 if "refused" in outcome else 0


def _do(kind: str, request: dict[str, Any]) -> Any:
    app = app_instance()
    methods = {"train": app.train, "batch_infer": app.batch_infer, "scoring": app.scoring}
    return methods[kind](request)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format=_FORMAT)
    sys.exit(run(Path(sys.argv[1])))
