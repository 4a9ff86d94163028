"""The processes of a server end with it, in whatever way it ends.

A watching thread is used instead of PR_SET_PDEATHSIG, see prctl(2). That signal comes when the
thread ends that started the process, and this thread is one of a pool. It exists on Linux alone.
"""

import os
import threading
import time

import psutil

from zeus_app.storage.running import is_running

SERVER = "ZEUS_SERVER_PROCESS"
"""Environment variable: process id and start time of the server, for the processes it starts."""
_POLL_S = 0.5


def announce_server() -> None:
    """Tell the processes that this server will start who started them."""
    process = psutil.Process()
    os.environ[SERVER] = f"{process.pid} {process.create_time()}"


def end_with_server() -> None:
    """End this process at once when its server is gone; does nothing in the server itself.

    What was not published is lost. The last whole version of the weights stays served, and the
    next training goes on after the last whole epoch.
    """
    pid, _, started_s = os.environ.get(SERVER, "").partition(" ")
    if pid and int(pid) != os.getpid():
        threading.Thread(
            target=_watch, args=(int(pid), float(started_s)), name="server-watch", daemon=True
        ).start()


def _watch(pid: int, started_s: float) -> None:
    while is_running(pid, started_s):
        time.sleep(_POLL_S)
    os._exit(1)  # no clean-up: another thread may be deep in a computation
