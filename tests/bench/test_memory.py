"""The peak of a process's memory."""

import sys

import numpy as np
import pytest

from zeus_app.bench.memory import peak_mib, restart_peak


@pytest.mark.skipif(sys.platform != "linux", reason="the Linux kernel counts")
def test_the_peak_rises_by_what_is_allocated() -> None:
    restart_peak()
    before = peak_mib()
    assert before is not None
    array = np.ones((64, 1024, 1024), np.uint8)
    after = peak_mib()
    assert after is not None
    assert after >= before
    assert array.nbytes == 64 * 1024**2


def test_a_process_that_is_gone_has_no_peak() -> None:
    assert peak_mib(2**30) is None
