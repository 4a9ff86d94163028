"""Batch sizes, and splitting a batch when memory runs out."""

import resource
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch

from zeus_app.devices import batch_size, split_when_out_of_memory
from zeus_app.errors import InputError


class SmallMemory:
    """Doubles numbers, at most `room` at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.sizes: list[int] = []

    def __call__(self, rows: Sequence[int]) -> list[int]:
        self.sizes.append(len(rows))
        if len(rows) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * row for row in rows]


@pytest.mark.parametrize(("setting", "device", "size"), [
    (0, "cpu", 2), (0, "cuda", 8), (5, "cpu", 5), (5, "cuda", 5),
])  # fmt: skip
def test_a_batch_size_is_the_setting_or_the_default_of_the_device(
    setting: int, device: str, size: int
) -> None:
    assert batch_size(setting, torch.device(device), gpu=8, cpu=2) == size


def test_what_fits_is_computed_at_once() -> None:
    memory = SmallMemory(room=5)
    assert split_when_out_of_memory(memory, range(5)) == [0, 2, 4, 6, 8]
    assert memory.sizes == [5]


def test_what_does_not_fit_is_halved_and_stays_in_order() -> None:
    memory = SmallMemory(room=2)
    assert split_when_out_of_memory(memory, range(5)) == [0, 2, 4, 6, 8]
    assert memory.sizes == [5, 2, 3, 1, 2]


def test_a_single_row_that_does_not_fit_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"does not hold one row(.|\n)*lower precision"):
        split_when_out_of_memory(SmallMemory(room=0), range(4))


def test_another_error_does_not_split_the_batch() -> None:
    def broken(rows: Sequence[int]) -> list[int]:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        split_when_out_of_memory(broken, range(4))


def test_nothing_is_computed_for_no_rows() -> None:
    memory = SmallMemory(room=5)
    assert split_when_out_of_memory(memory, []) == []
    assert memory.sizes == []


RESIZES = """
import resource, sys, torch
from zeus_app.devices import choose_device
if sys.argv[1] == "chosen":
    choose_device("cpu")
for _ in range(20):
    torch.ones(64 * 2**20 // 4)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def page_faults(argument: str) -> int:
    """Pages that a fresh process got while it allocated 64 MiB twenty times."""
    command = [sys.executable, "-c", RESIZES, argument]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is not glibc")
def test_freed_memory_is_used_again_instead_of_given_back_to_the_system() -> None:
    pages = 20 * 64 * 2**20 // resource.getpagesize()
    assert page_faults("unchanged") - page_faults("chosen") > pages / 2


RETURNS = """
import numpy as np, psutil
from zeus_app.devices import choose_device, return_freed_memory
choose_device("cpu")
def resident():
    return psutil.Process().memory_info().rss
blocks = [np.ones(2**21 // 8) for _ in range(100)]
kept = blocks[-1]  # freed memory below a block in use stays with the process by itself
del blocks
before = resident()
return_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is not glibc")
def test_freed_memory_returns_to_the_system_on_demand() -> None:
    command = [sys.executable, "-c", RETURNS]
    returned = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert returned > 90 * 2 * 2**20  # 99 of the 100 blocks of 2 MiB are free
