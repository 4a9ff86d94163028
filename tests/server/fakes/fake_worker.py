"""A task's process that does what its request says, without a model.

"echo" answers with the request, "refuse" refuses, "fail" raises, "print" writes bytes that are no
UTF-8, "wait" waits for the file that the request names, and "die" kills itself.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from zeus_app.errors import InputError
from zeus_app.server.jobs import task_worker


class FakeApp:
    """Has the three methods that the worker calls."""

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "refuse":
                raise InputError("an unlucky seed", expected="another", remedy="choose one")
            case "fail":
                raise ValueError("the network exploded")
            case "print":
                sys.stdout.buffer.write(b"\xff\xfe lines\n" * 50)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "wait":
                while not Path(request["until"]).exists():
                    time.sleep(0.01)
        return {"request": request, "arguments": sys.argv}

    batch_infer = scoring = train


if __name__ == "__main__":
    with patch.object(task_worker, "app_instance", FakeApp):
        sys.exit(task_worker.run(Path(sys.argv[1])))
