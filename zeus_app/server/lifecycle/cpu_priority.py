"""CPU priority: trainings run at a lower priority than the server, which answers clicks."""

import os
import threading

NICENESS_INCREMENT = 10
"""Added to the niceness of a training or a batch inference.

Linux weighs niceness 0 with 1024 and niceness 10 with 110 (kernel/sched/core.c,
sched_prio_to_weight). Where both want a core, clicks get nine tenths of it, and no click waits for
a training thread's time slice. A training beside an idle server loses nothing, so it keeps all of
torch's threads.

With autogroups on, niceness counts only among processes of one session. A training that the server
started belongs to the server's session. So nothing is written to /proc/self/autogroup, which would
slow the server too.
"""

_is_server = threading.Event()


def keep_priority() -> None:
    """Mark this process as the server: `lower_priority` then does nothing."""
    _is_server.set()


def lower_priority_of(pid: int) -> None:
    """Lower the priority of a process that has just been started.

    On Linux a priority belongs to a thread. A new process has one, and its later threads inherit.
    """
    os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + NICENESS_INCREMENT)


def lower_priority() -> None:
    """Lower this process's priority for good; does nothing in the server itself."""
    if not _is_server.is_set():
        os.nice(NICENESS_INCREMENT)
