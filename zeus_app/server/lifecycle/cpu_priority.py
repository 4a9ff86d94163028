"""Which process goes first on the CPU: the one that answers clicks."""

import os
import threading

STEP_BACK = 10
"""Added to the niceness of a training. Linux weighs niceness 0 with 1024 and 10 with 110
(kernel/sched/core.c, sched_prio_to_weight): where both want a core, clicks get nine tenths of it,
and nobody waits for a training thread to end its time slice. An idle server costs a training
nothing, so it keeps all of torch's threads. Where autogroups are on, niceness counts only among
processes of one session; a training that the server started is of the server's session, so nothing
is written to /proc/self/autogroup, which would slow the server too."""

_answers = threading.Event()


def keep() -> None:
    """This process is the server: whatever it does, it does at its own priority."""
    _answers.set()


def lower_priority() -> None:
    """Let the server go first, from now on; nothing in the server itself."""
    if not _answers.is_set():
        os.nice(STEP_BACK)
