"""One job in a process of its own.

`python -m zeus_app.bench.worker` reads a request as one line of JSON from stdin. It prints lines of
JSON: {"stage", "done", "total"} while it works, then {"row"} or {"reason"}. It ends at once when
stdin ends, so that no job outlives the command that started it.
"""

import json
import os
import sys
import threading
from contextlib import redirect_stdout
from functools import partial
from typing import Any, TextIO

from zeus_app.bench.measurement import Request, run_job
from zeus_app.errors import InputError

STAGE = ("stage", "done", "total")
"""Keys of a message about progress."""


def main() -> int:
    """Run the job of stdin.

    Returns:
        Exit code: 0, also for a job that was refused with a reason.
    """
    request = Request.of_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tell = partial(_tell, sys.stdout)
    with redirect_stdout(sys.stderr):  # what libraries print must not stand between our lines
        try:
            tell(row=run_job(request, lambda *said: tell(**dict(zip(STAGE, said, strict=True)))))
        except InputError as error:
            tell(reason=str(error))
    return 0


def _tell(out: TextIO, **message: Any) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def _end_with_parent() -> None:
    """Leave the process when the parent closes stdin, in whatever way it ended."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
